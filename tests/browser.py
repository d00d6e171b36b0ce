"""Headless Chromium, for tests of pages: what a page says, and what happens when keys are pressed.

Chromium and its driver come from the system (Debian: ``chromium chromium-driver``), Selenium from
the `test` extra. Where there is no Chromium the tests of pages are skipped, unless the environment
variable CI is set: there they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
    not (BROWSER and DRIVER) and "CI" not in os.environ,
    reason="Chromium and chromedriver are not installed")


@contextmanager
def chromium(profile: Path, width: int = 1280, height: int = 900, dark: bool = False
             ) -> Iterator[webdriver.Chrome]:
    """Start a Chromium that can reach nothing but files, with its profile in a new directory."""
    assert BROWSER, "install Chromium: apt-get install chromium"
    assert DRIVER, "install its driver: apt-get install chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for switch in ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage",
                   "no-first-run", "disable-background-networking", "disable-component-update",
                   "disable-sync", "disable-quic", f"user-data-dir={profile}",
                   f"window-size={width},{height}",
                   "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"):
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    try:
        if dark:
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
                "features": [{"name": "prefers-color-scheme", "value": "dark"}]})
        yield driver
    finally:
        driver.quit()


def complaints(driver: webdriver.Chrome) -> list[str]:
    """What the browser's console has said since it was asked last: nothing, of a good page."""
    return [entry["message"] for entry in driver.get_log("browser")]


def show(driver: webdriver.Chrome, text: str, path: Path) -> None:
    """Write a page to `path` and open it there."""
    path.write_text(text, encoding="utf-8")
    driver.get(path.as_uri())
