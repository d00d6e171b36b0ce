"""Pages of one file: they show what they were given, and nothing in them can run or ask."""

import pytest

from tests.browser import chromium, complaints, needs_chromium, show
from tinygrad_w2v.draw.page import page

pytestmark = needs_chromium
WRITES = ("document.querySelector('p').textContent = "
          "JSON.parse(document.getElementById('data').textContent)")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def said(browser):
    return browser.find_element("tag name", "p").text


def test_the_script_of_a_page_runs_and_reads_its_data(browser, tmp_path):
    show(browser, page("t", "<p>before</p>", script=WRITES, data="<b>&amp; </script>"),
         tmp_path / "page.html")
    assert said(browser) == "<b>&amp; </script>"
    assert complaints(browser) == []


@pytest.mark.parametrize("evil", [
    "<script>document.querySelector('p').textContent = 'ran'</script>",
    "<img src=x onerror=\"document.querySelector('p').textContent = 'ran'\">",
    "<img src=http://127.0.0.1:9/x.png>",
    "<link rel=stylesheet href=http://127.0.0.1:9/x.css>"])
def test_nothing_else_runs_or_is_asked_for(browser, tmp_path, evil):
    show(browser, page("t", "<p>before</p>" + evil, script="1"), tmp_path / "page.html")
    assert said(browser) == "before"
    found = complaints(browser)
    assert found
    assert all("Content Security Policy" in text for text in found)


@pytest.mark.parametrize(("dark", "paper"), [(False, "255, 255, 255"), (True, "22, 24, 27")])
def test_a_page_is_light_or_dark_as_the_system_is(tmp_path, dark, paper):
    with chromium(tmp_path / "profile", dark=dark) as driver:
        show(driver, page("t", "<p>x</p>"), tmp_path / "page.html")
        body = driver.find_element("tag name", "body")
        assert paper in body.value_of_css_property("background-color")
