"""The map of words as a reader uses it: it finds, tells the truth, and keeps labels apart."""

import itertools

import numpy as np
import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By

from tests.browser import chromium, complaints, needs_chromium, show
from tinygrad_w2v.draw.words import word_map
from tinygrad_w2v.word2vec import WordVectors

pytestmark = needs_chromium
EVIL = ["</script><b>x</b>", "<img src=x onerror=alert(1)>", "שלום", "مرحبا", "🙂🙂",
        "e\u0301te\u0301", "a" + "\u0301" * 50, "long" * 100, "it's", '"', " ", "&amp;", "\x1b[2J",
        "赤い", "\u202eabc", "__proto__", "\udc80"]


def vectors(words, seed=0, d=8):
    return WordVectors(words, np.random.default_rng(seed).normal(size=(len(words), d)))


def crowd(n=400):
    """So many words as to leave no room for the labels of all."""
    return vectors([f"word{i}" for i in range(n)])


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def narrow(browser):
    """The browser, as narrow as a telephone."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": 380, "height": 900, "deviceScaleFactor": 1, "mobile": False})
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture
def opened(browser, tmp_path):
    """Open the map of some vectors."""
    def opened(wv, driver=browser, **settings):
        show(driver, word_map(wv, **settings).page("Map"), tmp_path / "map.html")
        return driver
    return opened


def one(driver, selector):
    return driver.find_element(By.CSS_SELECTOR, selector)


def search(driver, *keys):
    one(driver, "#search").send_keys(*keys)


def neighbours(driver):
    """The words and cosines that stand beside the map."""
    return [(row.find_element(By.TAG_NAME, "bdi").text,
             row.find_element(By.CLASS_NAME, "cosine").text)
            for row in driver.find_elements(By.CSS_SELECTOR, "#near li")]


def boxes(driver):
    """Left, top, right and bottom of all labels."""
    return driver.execute_script("""
        return [...document.querySelectorAll("#picture text")].map(t => {
            const box = t.getBoundingClientRect();
            return [t.textContent, box.left, box.top, box.right, box.bottom]; })""")


def overlapping(driver):
    found = boxes(driver)
    assert len(found) > 1
    return [(a, b) for (a, *p), (b, *q) in itertools.combinations(found, 2)
            if p[0] < q[2] and q[0] < p[2] and p[1] < q[3] and q[1] < p[3]]


def view(driver):
    return driver.execute_script("return [state.x, state.y, state.zoom]")


def middle_of(driver, word):
    """Where on the map, from its middle, a word stands; the map is brought into view."""
    return driver.execute_script(
        "map.scrollIntoView({block: 'center'});"
        "const [x, y] = place(find(arguments[0]));"
        "return [x - width / 2, y - height / 2]", word)


def test_enter_shows_the_words_of_most_similar_and_goes_there(opened):
    wv = crowd()
    driver = opened(wv)
    search(driver, "word17", Keys.ENTER)
    assert neighbours(driver) == [(word, f"{cosine:.4f}")
                                  for word, cosine in wv.most_similar("word17")]
    assert middle_of(driver, "word17") == pytest.approx([0, 0], abs=0.1)
    assert view(driver)[2] > 1
    assert boxes(driver)[0][0] == "word17"
    nearest = [word for word, _ in wv.most_similar("word17", topn=3)]
    assert one(driver, "#message").text == f"word17: nearest are {', '.join(nearest)}."
    assert complaints(driver) == []


def test_nearest_words_are_of_the_whole_vocabulary_on_the_map_or_not(opened):
    wv = crowd()
    driver = opened(wv, words=20)
    search(driver, "word3", Keys.ENTER)
    expected = wv.most_similar("word3")
    assert [word for word, _ in neighbours(driver)] == [word for word, _ in expected]
    off = [row.text for row in driver.find_elements(By.CSS_SELECTOR, "#near li")]
    assert [("not on this map" in text) for text in off] == [
        wv.index[word] >= 20 for word, _ in expected]
    search(driver, Keys.ESCAPE, "word399", Keys.ENTER)
    assert "word399 is in the vocabulary, but not on this map of 20 words" in one(
        driver, "#message").text
    assert neighbours(driver) == []


def test_a_word_that_is_not_there_is_said_with_near_spellings(opened):
    driver = opened(vectors(["monday", "money", "rose", "thorn"]))
    search(driver, "mondey", Keys.ENTER)
    assert one(driver, "#message").text == (
        "mondey is not in the vocabulary. Near spellings: monday, money.")
    assert neighbours(driver) == []
    assert complaints(driver) == []


def test_a_page_that_does_not_know_all_words_does_not_say_they_are_not_there(opened, monkeypatch):
    monkeypatch.setattr("tinygrad_w2v.draw.words.NAMES", 10)
    driver = opened(crowd(), words=5, topn=1)
    search(driver, "nobody")
    said = one(driver, "#message").text
    assert "is not among the" in said
    assert "that this page knows, of 400 in the vocabulary" in said


def test_arrow_keys_walk_the_matches_and_escape_closes_clears_and_lets_go(opened):
    driver = opened(vectors(["red", "redder", "green", "reddest", "bored"]))
    field = one(driver, "#search")
    search(driver, "red")
    assert [m.text for m in driver.find_elements(By.CSS_SELECTOR, "#matches li")] == [
        "red", "redder", "reddest", "bored"]
    assert field.get_attribute("aria-expanded") == "true"
    search(driver, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    active = field.get_attribute("aria-activedescendant")
    assert one(driver, f"#{active}").text == "redder"
    assert one(driver, "#matches [aria-selected=true]").text == "redder"
    search(driver, Keys.ARROW_UP, Keys.ARROW_UP)
    assert field.get_attribute("aria-activedescendant") is None
    search(driver, Keys.ARROW_UP)
    assert one(driver, "#matches [aria-selected=true]").text == "bored"
    search(driver, Keys.ENTER)
    assert field.get_attribute("value") == "bored"
    assert field.get_attribute("aria-expanded") == "false"
    assert len(neighbours(driver)) == 4
    search(driver, Keys.ARROW_DOWN)
    assert one(driver, "#matches").is_displayed()
    search(driver, Keys.ESCAPE)
    assert not one(driver, "#matches").is_displayed()
    assert len(neighbours(driver)) == 4
    search(driver, Keys.ESCAPE)
    assert (field.get_attribute("value"), neighbours(driver)) == ("", [])


def test_a_match_and_a_neighbour_can_be_clicked(opened):
    driver = opened(crowd(), words=50)
    search(driver, "word4")
    one(driver, "#matches li:nth-child(2)").click()
    assert one(driver, "#search").get_attribute("value") == "word40"
    button = one(driver, "#near button")
    word = button.text
    button.click()
    assert one(driver, "#chosen").text == f"Nearest to {word}"
    assert complaints(driver) == []


def test_a_point_can_be_clicked_and_hovering_names_it(opened):
    driver = opened(crowd())
    box = one(driver, "#map")
    hidden = driver.execute_script(
        "const on = new Set([...document.querySelectorAll('text')].map(t => t.textContent));"
        "const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);"
        "return data.words.find((word, i) => !on.has(word) && data.words.every("
        "    (_, j) => i === j || far(place(i), place(j)) > 6))")
    at = [round(x) for x in middle_of(driver, hidden)]
    ActionChains(driver).move_to_element_with_offset(box, *at).perform()
    assert boxes(driver)[0][0] == hidden
    before = view(driver)
    ActionChains(driver).move_to_element_with_offset(box, *at).click().perform()
    assert one(driver, "#chosen").text == f"Nearest to {hidden}"
    assert view(driver) == before


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 380])
def test_labels_keep_apart_at_every_zoom_and_nothing_sticks_out(tmp_path, opened, width, dark):
    with chromium(tmp_path / "profile", dark=dark) as driver:
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        opened(crowd(), driver)
        counts = []
        for _ in range(8):
            assert overlapping(driver) == []
            counts.append(len(boxes(driver)))
            one(driver, "#nearer").click()
        search(driver, "word5", Keys.ENTER)
        assert overlapping(driver) == []
        assert driver.execute_script(
            "return document.documentElement.scrollWidth - innerWidth") <= 0
        assert counts[0] < 400
        assert complaints(driver) == []
        at = driver.execute_script("const b = map.getBoundingClientRect();"
                                   "return [b.left, b.top, b.right, b.bottom]")
        assert all(at[0] <= left and at[1] <= top and right <= at[2] and bottom <= at[3]
                   for _, left, top, right, bottom in boxes(driver))


def test_it_says_how_many_words_are_labelled(opened):
    driver = opened(crowd())
    assert one(driver, "#count").text == (
        f"{len(boxes(driver))} of 400 words labelled; zoom in for others.")
    driver = opened(vectors(["red", "green", "blue", "grey"]))
    assert one(driver, "#count").text == "4 of 4 words labelled."


def test_where_there_is_room_labels_hide_no_point(opened):
    driver = opened(crowd(20))
    points = driver.execute_script(
        "const b = map.getBoundingClientRect();"
        "return data.points.map((_, i) => [place(i)[0] + b.left + 1, place(i)[1] + b.top + 1])")
    found = boxes(driver)
    assert len(found) == 20
    assert not [word for word, left, top, right, bottom in found for x, y in points
                if left < x < right and top < y < bottom]


def test_keys_wheel_and_mouse_move_and_zoom_the_map(opened):
    driver = opened(crowd())
    box, start = one(driver, "#map"), view(driver)
    box.send_keys("+", "+")
    assert view(driver)[2] == pytest.approx(2.25 * start[2])
    box.send_keys(Keys.ARROW_LEFT)
    left = view(driver)
    assert left[0] < start[0]
    box.send_keys(Keys.ARROW_UP, "-")
    assert view(driver)[1] > left[1]
    box.send_keys("0")
    assert view(driver) == start
    before = middle_of(driver, "word7")
    wheel = driver.execute_script("""
        const b = map.getBoundingClientRect(), clientX = Math.round(b.left + 300),
              clientY = Math.round(b.top + 200);
        map.dispatchEvent(new WheelEvent("wheel", {deltaY: -500, clientX, clientY,
                                                   cancelable: true}));
        return [clientX - b.left - 1 - width / 2, clientY - b.top - 1 - height / 2]""")
    after, factor = middle_of(driver, "word7"), view(driver)[2] / start[2]
    assert factor > 2
    assert np.subtract(after, wheel) == pytest.approx(  # what is under the wheel stays there
        factor * np.subtract(before, wheel))
    one(driver, "#whole").click()
    before = middle_of(driver, "word7")
    ActionChains(driver).move_to_element_with_offset(box, *map(round, before)).click_and_hold(
        ).move_by_offset(30, 20).release().perform()
    assert middle_of(driver, "word7") == pytest.approx([before[0] + 30, before[1] + 20])
    assert neighbours(driver) == []  # a drag is no click, even if begun on a word
    one(driver, "#whole").click()
    assert view(driver) == start
    assert complaints(driver) == []


def test_two_fingers_zoom(opened):
    driver = opened(crowd())
    start = view(driver)
    driver.execute_script("""
        map.setPointerCapture = () => {};  // these fingers are not real
        const b = map.getBoundingClientRect();
        const touch = (type, pointerId, dx) => map.dispatchEvent(new PointerEvent(type, {
            pointerId, pointerType: "touch", bubbles: true,
            clientX: b.left + b.width / 2 + dx, clientY: b.top + b.height / 2}));
        touch("pointerdown", 1, -50); touch("pointerdown", 2, 50);
        touch("pointermove", 1, -100); touch("pointermove", 2, 100);
        touch("pointerup", 1, -100); touch("pointerup", 2, 100);""")
    assert view(driver)[2] == pytest.approx(2 * start[2])
    assert driver.execute_script("return hands.size") == 0
    assert complaints(driver) == []


@pytest.mark.parametrize("word", EVIL)
def test_any_word_is_shown_and_found_and_none_runs(opened, narrow, word):
    wv = vectors([*EVIL, "red", "green"])
    opened(wv, narrow)
    driver = narrow
    assert overlapping(driver) == []
    driver.execute_script(  # ChromeDriver cannot type letters beyond the first plane
        "search.value = data.words[arguments[0]]; search.dispatchEvent(new Event('input'));"
        "search.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}))", EVIL.index(word))
    found = [row.text for row in driver.find_elements(By.CSS_SELECTOR, "#near .cosine")]
    assert found == [f"{cosine:.4f}" for _, cosine in wv.most_similar(word)]
    assert overlapping(driver) == []
    assert driver.find_elements(By.CSS_SELECTOR, "main b, main img") == []
    assert driver.execute_script(
        "return document.documentElement.scrollWidth - innerWidth") <= 0
    assert complaints(driver) == []


def test_a_word_is_found_in_another_case_and_with_accents_of_one_piece(opened):
    driver = opened(vectors(["E\u0301te\u0301", "red", "green"]))
    search(driver, "\u00e9t\u00e9", Keys.ENTER)
    assert len(neighbours(driver)) == 2


@pytest.mark.parametrize("words", [["one"], ["one", "two"]])
def test_a_map_of_one_word_or_two_is_a_map(opened, words):
    driver = opened(vectors(words))
    search(driver, "one", Keys.ENTER)
    assert len(boxes(driver)) >= 1
    assert len(neighbours(driver)) == len(words) - 1
    assert complaints(driver) == []


def test_words_at_one_place_get_one_label_or_more_and_no_error(opened):
    driver = opened(WordVectors([f"w{i}" for i in range(50)], np.ones((50, 3))))
    assert overlapping(driver) == []
    assert one(driver, "#count").text == (
        f"{len(boxes(driver))} of 50 words labelled; zoom in for others.")


def test_every_control_has_a_name_and_the_map_takes_the_focus(opened):
    driver = opened(crowd(9))
    for selector in ("#search", "#nearer", "#farther", "#whole", "#map"):
        assert one(driver, selector).accessible_name
    assert one(driver, "#search").aria_role == "combobox"
    assert one(driver, "#message").get_attribute("role") == "status"
    search(driver, *[Keys.TAB] * 4)
    assert driver.switch_to.active_element.get_attribute("id") == "map"
