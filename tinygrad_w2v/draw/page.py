"""Pages of one file: text, picture, style and script in one, that ask nothing of any network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from typing import Any

# Blue is positive and orange negative: told apart by the colour-blind, and always beside a sign.
STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1d1f21; --soft: #5a6067; --line: #c9ced4;
  --card: #f4f5f7; --accent: #7a3e9d; --positive: #1f5fae; --negative: #9c3f06;
  --positive-fill: #dce9f8; --negative-fill: #fbe3d2; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #e8eaed; --soft: #a7adb5;
  --line: #454b53; --card: #212429; --accent: #c79be6; --positive: #82b7f5; --negative: #f2a06b;
  --positive-fill: #1d3350; --negative-fill: #47290f; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; background: var(--paper);
  color: var(--ink); overflow-wrap: anywhere; }
main { max-width: 72rem; margin: 0 auto; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
"""


def page(title: str, body: str, *, style: str = "", script: str = "", data: Any = None) -> str:
    """Give a whole page: `body` is HTML, `data` (anything JSON can say) is there for the script.

    The script finds its data by ``JSON.parse(document.getElementById("data").textContent)``. The
    page's own policy lets run what is in it, by its hash, and nothing else: no request leaves it,
    and no text that got into `body` or `data` can become a program. (So there is no ``style="…"``
    and no ``onclick="…"`` in `body`: use classes, and listeners.) Colours are variables of `STYLE`,
    light or dark as the reader's system is.

    >>> text = page("1 < 2", "<p>shown</p>", script="document.title", data=["</script>"])
    >>> "<title>1 &lt; 2</title>" in text, "</script>" in text.split('id="data">')[1][:15]
    (True, False)
    """
    style = STYLE + style
    allowed = f"default-src 'none'; style-src {_digest(style)}; img-src data:"
    allowed += f"; script-src {_digest(script)}" if script else ""
    allowed += "; base-uri 'none'; form-action 'none'"
    text = "\n".join([
        "<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{allowed}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title>", f"<style>{style}</style>", "</head>", "<body>",
        f"<main>\n{body}\n</main>",
        *([f'<script type="application/json" id="data">{_json(data)}</script>']
          if data is not None else []),
        *([f"<script>{script}</script>"] if script else []), "</body>", "</html>", ""])
    # A word that was read with "surrogateescape" is no UTF-8: it stands there by JSON's escape.
    return text.encode("utf-8", "backslashreplace").decode()


def _digest(text: str) -> str:
    """Name a text by its hash, as a content security policy does."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(data: Any) -> str:
    """Give `data` as JSON that no browser mistakes for the end of its element."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
