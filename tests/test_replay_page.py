"""The page to step through backward: what it says at each step, by key and by button."""

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import tinygrad_w2v as tg
from tests.browser import chromium, complaints, needs_chromium, show
from tinygrad_w2v.draw import graphviz, keeping
from tinygrad_w2v.draw.shown import gradient

pytestmark = needs_chromium
LARGEST = 300_000  # bytes


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def leaf(value=3.0, **settings):
    return tg.Tensor(value, requires_grad=True, **settings)


def multilayer():
    """A layer, a loss; a value is used twice, rows are looked up, some slopes are infinite."""
    rng = np.random.default_rng(0)
    table, w = leaf(rng.normal(size=(9, 3))), leaf(rng.normal(size=(3, 2)))
    with keeping() as kept:
        z = tg.take(table, np.array([4, 4, 7])) @ w
        loss = (tg.tanh(z) * z).sum() + tg.sqrt(w * 0.0).sum()
    return tg.trace(loss, kept=kept)


def wrong():
    a = leaf()
    b = a + a
    c = b + b
    return tg.trace(c, order="recursion")


def long():
    y = x = leaf([0.5, -0.25])
    for _ in range(200):
        y = tg.tanh(y * 1.1 + x)
    return tg.trace(y.sum())


def text(browser, id):
    return browser.find_element(By.ID, id).text


def press(browser, *keys):
    browser.find_element(By.TAG_NAME, "body").send_keys(*keys)


def received(browser):
    """What the table says that each node has received."""
    return browser.execute_script("""
        return Object.fromEntries([...document.querySelectorAll("tbody tr")].map(row =>
          [row.children[0].textContent, row.children[1].textContent]));""")


def drawn(browser, trace):
    """What the picture says of each node: its last line."""
    found = browser.execute_script("""
        return Object.fromEntries([...document.querySelectorAll("svg .node")].map(part =>
          [part.id, [...part.querySelectorAll("text")].pop().textContent]));""")
    return {trace.scene.names[node]: found[f"n{k}"] for k, node in enumerate(trace.scene.nodes)}


def expected(trace, k):
    totals = trace.replay(k)
    return {name: gradient(totals.get(node)) for node, name in trace.scene.names.items()}


# ── what it says ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("example", [multilayer, wrong], ids=lambda f: f.__name__)
def test_each_step_says_what_the_trace_says_in_words_table_and_picture(browser, tmp_path, example):
    trace = example()
    show(browser, trace.html(), tmp_path / "page.html")
    assert text(browser, "said") == trace.beginning()
    for k, step in enumerate(trace.steps, 1):
        press(browser, Keys.ARROW_RIGHT)
        assert text(browser, "said") == trace.sentence(k)
        assert text(browser, "rule").split() == trace.scene.rule(step.node, step.operand).split()
        for id in ("upstream", "share", "before", "after"):
            assert text(browser, id) == gradient(getattr(step, id))
        assert text(browser, "wrong") == (f"✗ {step.note}" if step.note else "")
        assert received(browser) == drawn(browser, trace) == expected(trace, k)
    assert complaints(browser) == []


def test_the_end_is_the_gradients_that_backward_gives(browser, tmp_path):
    trace = multilayer()
    leaves = [name for node, name in trace.scene.names.items() if not node.parents]
    show(browser, trace.html(), tmp_path / "page.html")
    press(browser, Keys.END)
    found = received(browser)
    assert {name: found[name] for name in leaves} == {
        name: gradient(trace.gradients[name]) for name in leaves}
    items = [item.text for item in browser.find_elements(By.CSS_SELECTOR, "#end li")]
    assert items == trace.verdict()


def test_a_wrong_order_is_marked_where_it_goes_wrong_and_at_the_end(browser, tmp_path):
    show(browser, wrong().html(), tmp_path / "page.html")
    press(browser, *[Keys.ARROW_RIGHT] * 4)
    assert text(browser, "wrong") == ""
    press(browser, Keys.ARROW_RIGHT)
    assert text(browser, "wrong").startswith("✗ call 2 of b")
    assert browser.find_element(By.CSS_SELECTOR, "#end li.wrong").text == (
        "a: ▲ 8 ✗ wrong: 4 is right")
    assert "7 call(s) for 3 node(s)" in browser.find_element(By.TAG_NAME, "main").text


# ── how it is used ────────────────────────────────────────────────────────────────────────────────


def test_keys_and_buttons_walk_the_same_steps_and_stop_at_the_ends(browser, tmp_path):
    trace = wrong()
    show(browser, trace.html(), tmp_path / "page.html")
    counts = []
    for key in (Keys.ARROW_LEFT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.END,
                Keys.ARROW_RIGHT, Keys.HOME):
        press(browser, key)
        counts.append(text(browser, "count"))
    assert counts == [f"{k} of 6" for k in (0, 1, 2, 1, 6, 6, 0)]
    counts = []
    for id in ("back", "on", "on", "back", "last", "on", "first"):
        browser.find_element(By.ID, id).click()
        counts.append(text(browser, "count"))
    assert counts == [f"{k} of 6" for k in (0, 1, 2, 1, 6, 6, 0)]


def test_all_controls_are_reached_by_tab_and_pressed_by_the_keyboard(browser, tmp_path):
    show(browser, wrong().html(), tmp_path / "page.html")
    reached = []
    for _ in range(7):
        press(browser, Keys.TAB)
        focused = browser.switch_to.active_element
        reached.append(focused.get_attribute("id") or focused.tag_name)
    assert reached == ["first", "back", "on", "last", "slider", "figure", "div"]
    browser.find_element(By.ID, "on").send_keys(Keys.ENTER)
    assert text(browser, "count") == "1 of 6"
    browser.switch_to.active_element.send_keys(Keys.SPACE)
    assert text(browser, "count") == "2 of 6"
    browser.find_element(By.ID, "slider").send_keys(Keys.ARROW_RIGHT)
    assert text(browser, "count") == "3 of 6"


def test_what_happens_is_announced_and_everything_has_a_name(browser, tmp_path):
    show(browser, wrong().html(), tmp_path / "page.html")
    for id in ("said", "wrong"):
        assert browser.find_element(By.ID, id).get_attribute("aria-live") == "polite"
    names = [browser.find_element(By.ID, id).accessible_name
             for id in ("first", "back", "on", "last", "slider")]
    assert all(names)
    assert browser.find_element(By.CSS_SELECTOR, "svg.graph").accessible_name
    assert browser.find_element(By.ID, "back").get_attribute("aria-disabled") == "true"
    press(browser, Keys.ARROW_RIGHT)
    assert browser.find_element(By.ID, "back").get_attribute("aria-disabled") == "false"
    slider = browser.find_element(By.ID, "slider")
    assert slider.get_attribute("aria-valuetext") == "step 1 of 6"


def test_the_step_is_marked_in_the_picture_and_stays_in_view(browser, tmp_path):
    trace = long()
    show(browser, trace.html(), tmp_path / "page.html")
    for step in trace.steps[:48:16]:
        press(browser, Keys.HOME, *[Keys.ARROW_RIGHT] * (trace.steps.index(step) + 1))
        marked = browser.execute_script("""
            return [...document.querySelectorAll("svg .now, svg .gets")].map(part => part.id)""")
        assert f"n{trace.scene.number[step.node]}" in marked
        assert f"n{trace.scene.number[step.parent]}" in marked
    inside = browser.execute_script("""
        const part = document.querySelector("svg .gets").getBoundingClientRect();
        const frame = document.querySelector("figure").getBoundingClientRect();
        return part.left >= frame.left && part.right <= frame.right;""")
    assert inside


# ── what it must not do ───────────────────────────────────────────────────────────────────────────

EVIL = ["<img src=x onerror=alert(1)>", "</script><script>document.title='ran'</script>",
        r"\N\G", '" onload="x', "two\nlines", "\u2028", "a" * 200]


@pytest.mark.parametrize("name", EVIL)
def test_a_name_is_shown_and_does_nothing(browser, tmp_path, name):
    x = leaf()
    trace = tg.trace(x + x, names={name: x})
    show(browser, trace.html(), tmp_path / "page.html")
    press(browser, Keys.END)
    shown = trace.scene.names[x._node]
    assert shown in text(browser, "said")
    assert browser.title == "Backward: v1"
    assert browser.find_elements(By.TAG_NAME, "img") == []
    assert complaints(browser) == []


@pytest.mark.parametrize("example", [multilayer, wrong, long], ids=lambda f: f.__name__)
def test_a_page_is_complete_and_small(example):
    page = example().html()
    assert len(page.encode()) <= LARGEST
    assert "src=" not in page
    assert "href=" not in page


def wide():
    """Hundreds of leaves with long names and values, hundreds of operations of long rules."""
    leaves = {f"a_parameter_with_a_long_name_{k}": leaf(np.arange(4.0) + k / 7) for k in range(400)}
    total = sum(tg.max(x) * tg.log_softmax(x)[1] for x in leaves.values())
    return tg.trace(total, names=leaves)


@pytest.mark.parametrize("example", [long, wide], ids=lambda f: f.__name__)
def test_of_hundreds_of_nodes_what_is_cut_is_said_and_the_end_is_right(browser, tmp_path, example):
    trace = example()
    page = trace.html()
    assert len(page.encode()) <= LARGEST
    show(browser, page, tmp_path / "page.html")
    press(browser, Keys.END)
    last = int(text(browser, "count").split(" of ")[1])
    rest = len(trace) - (last - 1)
    assert f"The last {rest:,} steps are taken as one here" in browser.find_element(
        By.TAG_NAME, "main").text
    assert text(browser, "said").startswith(f"The other {rest:,} steps")
    found, ends = received(browser), expected(trace, None)
    assert found == {name: ends[name] for name in found}
    left = len(trace.scene.nodes) - len(found)
    assert f"… {left:,} node(s) more" in browser.find_element(By.TAG_NAME, "main").text
    assert complaints(browser) == []


def test_without_graphviz_the_page_still_steps_and_says_what_is_missing(
        browser, tmp_path, monkeypatch):
    monkeypatch.setattr(graphviz, "program", lambda: None)
    trace = wrong()
    show(browser, trace.html(), tmp_path / "page.html")
    press(browser, Keys.END)
    assert received(browser) == expected(trace, None)
    assert "tinygrad-w2v[draw]" in browser.find_element(By.TAG_NAME, "main").text
    assert complaints(browser) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_narrow_or_dark_it_fits_and_can_be_read(tmp_path, dark):
    with chromium(tmp_path / "profile", width=500, dark=dark) as driver:
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": False})
        for example in (multilayer, wide):
            show(driver, example().html(), tmp_path / "page.html")
            press(driver, *[Keys.ARROW_RIGHT] * 3)
            assert driver.execute_script(
                "return document.documentElement.scrollWidth <= innerWidth")
            assert faint(driver) == []
            assert complaints(driver) == []


def faint(driver):
    """The texts of page and picture that stand out less than 4.5 to 1 from what is behind them."""
    return driver.execute_script("""
        const light = colour => {
          const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(c => {
            c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
          return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
          return (x + 0.05) / (y + 0.05); };
        const clear = colour => /, 0\\)$/.test(colour);
        const behind = part => {
          for (; part; part = part.parentElement) {
            const back = getComputedStyle(part).backgroundColor;
            if (!clear(back)) return back; }
          return "rgb(255, 255, 255)"; };
        const found = [];
        for (const part of document.querySelectorAll("p, dt, dd, pre, td, th, li, h1, h2, button"))
          if (part.textContent && ratio(getComputedStyle(part).color, behind(part)) < 4.5)
            found.push(part.textContent);
        for (const part of document.querySelectorAll("g.node text")) {
          const shape = [...part.parentElement.querySelectorAll(":scope > path, :scope > polygon")]
            .find(s => getComputedStyle(s).fill !== "none");
          if (ratio(getComputedStyle(part).fill, getComputedStyle(shape).fill) < 4.5)
            found.push(part.textContent); }
        return found;""")
