"""The page of `mmkd serve`, as somebody who tries it sees it."""

import json
from pathlib import Path

import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from service import started, write_made_up

AXE = (Path(__file__).parents[1] / "book/vendor/axe-core/axe.min.js").read_text(encoding="utf-8")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
USERS = ["a/b", "<i>é", *(f"u{n}" for n in range(5))]
ITEMS = [f"i/{n}" for n in range(40)]
TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """(export, options) of one with titles, and pictures of the first half."""
    folder = tmp_path_factory.mktemp("page")
    export = write_made_up(folder / "out", USERS, ITEMS)
    (folder / "titles.csv").write_text("id,title\n" + "".join(f'{item},"<b>Title</b> {item}"\n' for item in ITEMS))
    (folder / "pictures").mkdir()
    for number in range(20):
        Image.new("RGB", (8, 8), (10 * number, 90, 200)).save(folder / "pictures" / f"i%2F{number}.png")
    return export, ("--titles", folder / "titles.csv", "--pictures", folder / "pictures")


@pytest.fixture(scope="module")
def port(shop):
    with started(shop[0], *shop[1]) as (_, port):
        yield port


def waited(browser, condition):
    return WebDriverWait(browser, 20).until(condition)


def cards(browser, section):
    """Waits for them."""
    return waited(browser, lambda _: browser.find_elements(By.CSS_SELECTOR, f"#{section}:not([hidden]) .item"))


def shown(browser, section):
    return [card.get_attribute("data-item") for card in cards(browser, section)]


def said_wrong(browser):
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def asked(browser):
    """What the browser has asked for since this was last called."""
    messages = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]


def look(browser, width, scheme):
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def test_a_user_is_chosen_an_item_clicked_and_somebody_new_served(browser, port):
    address = f"http://127.0.0.1:{port}/"
    asked(browser), said_wrong(browser)
    look(browser, 1200, "light")
    browser.get(address)
    assert len(shown(browser, "best")) == 12
    field = browser.find_element(By.ID, "user")
    for user in USERS[:3]:
        field.clear()
        field.send_keys(user, Keys.ENTER)
        waited(browser, lambda _, user=user: f"to {user}, " in browser.find_element(By.ID, "best").text)
        seen, best = shown(browser, "seen"), shown(browser, "best")
        assert len(seen) == 3
        assert not set(seen) & set(best)
    assert cards(browser, "best")[0].find_element(By.TAG_NAME, "b").text == f"<b>Title</b> {best[0]}"
    assert "1" in cards(browser, "best")[0].text.split()
    pictures = browser.execute_script("return [...document.images].map(image => [image.complete, image.naturalWidth])")
    assert pictures
    assert all(image == [True, 8] for image in pictures)

    cards(browser, "best")[1].send_keys(Keys.SPACE)  # by the keyboard
    near = shown(browser, "near")
    assert len(near) == 8
    assert best[1] not in near
    assert browser.switch_to.active_element.get_attribute("id") == "near"
    pressed = browser.find_elements(By.CSS_SELECTOR, "[aria-pressed=true]")
    assert {card.get_attribute("data-item") for card in pressed} == {best[1]}
    browser.find_element(By.ID, "take").click()
    assert best[1] not in shown(browser, "new")
    cards(browser, "near")[0].click()
    waited(browser, lambda _: near[0] in browser.find_element(By.ID, "near-h").text)
    browser.find_element(By.ID, "take").click()
    waited(browser, lambda _: len(browser.find_elements(By.CSS_SELECTOR, ".chosen button")) == 2)
    for _ in range(2):
        count = len(browser.find_elements(By.CSS_SELECTOR, ".chosen button"))
        browser.find_element(By.CSS_SELECTOR, ".chosen button").click()
        waited(browser, lambda _, n=count: len(browser.find_elements(By.CSS_SELECTOR, ".chosen button")) < n or n == 1)
    waited(browser, lambda _: not browser.find_element(By.ID, "new").is_displayed())
    assert said_wrong(browser) == []
    urls = asked(browser)
    assert f"{address}pictures/i%2F0" in urls or any("/pictures/" in url for url in urls)
    assert [url for url in urls if not url.startswith((address, "data:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_it_can_be_read_by_all(width, scheme, browser, port):
    look(browser, width, scheme)
    browser.get("about:blank")
    browser.get(f"http://127.0.0.1:{port}/")
    cards(browser, "best")[0].click()
    cards(browser, "near")
    browser.find_element(By.ID, "take").click()
    cards(browser, "new")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_script(AXE)
    found = browser.execute_async_script(
        "axe.run({runOnly: arguments[0], resultTypes: ['violations']}).then(r => arguments[1](r.violations))", WCAG
    )
    assert [(one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"]) for one in found] == []


def test_what_goes_wrong_is_said_in_words(browser, port):
    look(browser, 1200, "light")
    browser.get("about:blank")
    browser.get(f"http://127.0.0.1:{port}/#u3")
    waited(browser, lambda _: "to u3, " in browser.find_element(By.ID, "best").text)
    browser.find_element(By.ID, "user").send_keys("x", Keys.ENTER)
    waited(browser, lambda _: "user 'u3x' of made up: no such id" in browser.find_element(By.ID, "said").text)
    assert browser.find_element(By.ID, "said").get_attribute("role") == "status"
    options = browser.execute_script("return [...document.querySelectorAll('#users option')].map(one => one.value)")
    assert set(options) <= set(USERS)
    said_wrong(browser)


def test_a_token_is_asked_for(browser, shop, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    with started(shop[0], *shop[1], "--token-file", tmp_path / "token") as (_, port):
        browser.get(f"http://127.0.0.1:{port}/")
        field = browser.find_element(By.ID, "word")
        waited(browser, lambda _: field.is_displayed())
        field.send_keys("another", Keys.ENTER)
        waited(browser, lambda _: "no token, or another one" in browser.find_element(By.ID, "said").text)
        field.clear()
        field.send_keys(TOKEN, Keys.ENTER)
        assert len(shown(browser, "best")) == 12
        waited(browser, lambda _: not field.is_displayed())
        loaded = "return [...document.images].length && [...document.images].every(image => image.naturalWidth === 8)"
        waited(browser, lambda _: browser.execute_script(loaded))
        said_wrong(browser)
