"""What a reader moves in a page: its numbers are those of the library, with a mouse, with keys, and on a phone."""

import io
import json
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from mmkd_core import load, losses
from mmkd_core.evidence import widgets

CHAPTERS = Path(__file__).parents[2] / "notebooks"
TEACHER, STUDENT = [2.0, 1.2, 0.3, -0.4, -1.0], [0.4, 0.1, 1.1, 0.3, -0.2]


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a piece of HTML as a page of its own, `width` pixels wide, light or dark, and returns its address."""

    def show(body, width=800, colors="white; color: black"):
        page = tmp_path / "page.html"
        head = '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        page.write_text(f'{head}<body style="background: {colors}">{body}')
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get_log("browser"), browser.get_log("performance")
        browser.get(page.as_uri())
        return page.as_uri()

    return show


@pytest.fixture
def listwise(opened):
    def show(teacher=TEACHER, student=STUDENT, width=800, colors="white; color: black", **settings):
        return opened(widgets.listwise(teacher, student, **settings), width, colors)

    return show


def slider(browser, label):
    return browser.find_element(By.CSS_SELECTOR, f'input[aria-label="{label}"]')


def move(browser, label, value):
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
    browser.execute_script(script, slider(browser, label), value)


def numbers(browser):
    """Each output's number in full, after a look at whether what is written there is that number rounded."""
    found = {}
    for node in browser.find_elements(By.CSS_SELECTOR, ".mmkd-listwise [data-name]"):
        name, value = node.get_attribute("data-name"), float(node.get_attribute("data-value"))
        written = browser.execute_script("return arguments[0].textContent", node)
        assert float(written.replace("−", "-")) == pytest.approx(value, abs=6e-5), name
        found[name] = value
    return found


def expected(teacher, student, alpha, beta, tau):
    """The same numbers from `losses.list_kd`, its gradient, and torch's softmax."""
    t = torch.tensor([teacher], dtype=torch.float64)
    s = torch.tensor([student], dtype=torch.float64, requires_grad=True)
    loss = losses.list_kd(t, s, alpha, beta, tau)
    (gradient,) = torch.autograd.grad(loss, s)
    loss, s = loss.detach(), s.detach()
    rest = float(1 - (t / tau).softmax(1)[0, 0])
    part_b = float(losses.list_kd(t, s, alpha, 0.0, tau)) / tau**2
    part_q = float(losses.list_kd(t, s, 0.0, beta, tau)) / tau**2
    kl_q = float(losses.list_kd(t, s, 0.0, 1.0, tau)) / tau**2 / rest
    values = {"loss": float(loss), "rest": rest, "part_b": part_b, "part_q": part_q, "kl_q": kl_q, "alpha": alpha}
    values["kl_b"] = float(losses.list_kd(t, s, 1.0, 0.0, tau)) / tau**2
    values["kl_p"] = float(losses.list_kd(t, s, 1.0, 1.0, tau)) / tau**2
    values["weight_q"] = beta * rest
    for who, scores in (("teacher", t), ("student", s)):
        p = (scores[0] / tau).softmax(0)
        values |= {f"p_{who}_{k + 1}": float(x) for k, x in enumerate(p)}
        values |= {f"b_{who}_1": float(p[0]), f"b_{who}_2": float(p[1:].sum())}
        values |= {f"q_{who}_{k + 2}": float(x) for k, x in enumerate(p[1:] / p[1:].sum())}
    return values | {f"push_{k + 1}": -float(x) for k, x in enumerate(gradient[0])}


def check(browser, *arguments):
    found, wanted = numbers(browser), expected(*arguments)
    assert found == pytest.approx({name: wanted[name] for name in found}, abs=1e-9)
    assert set(wanted) - set(found) == {"rest"}  # it is in the weight of q


@pytest.mark.parametrize("settings", [(1.0, 1.0, 1.0), (1.0, 4.0, 1.0), (0.0, 2.5, 3.0)])
def test_it_starts_with_the_numbers_of_list_kd(browser, listwise, settings):
    alpha, beta, tau = settings
    listwise(alpha=alpha, beta=beta, temperature=tau)
    check(browser, TEACHER, STUDENT, alpha, beta, tau)


def test_every_slider_moves_the_numbers(browser, listwise):
    listwise([2.0, 1.2, 0.3, -0.4], [0.4, 0.1, 1.1, 0.3])
    teacher, student = [-1.3, 0.0, 5.9, -6.0], [3.1, -2.2, 0.7, 1.9]
    for who, scores in (("teacher", teacher), ("student", student)):
        for k, score in enumerate(scores):
            move(browser, f"{who}'s score of item {k + 1}", score)
    move(browser, "α, weight of b", 0.5)
    move(browser, "β, weight of q", 7.5)
    move(browser, "τ, temperature", 2.5)
    check(browser, teacher, student, 0.5, 7.5, 2.5)


def test_keys_move_it_and_its_text_says_so(browser, listwise):
    listwise(beta=4.0)
    status = browser.find_element(By.CSS_SELECTOR, ".mmkd-listwise [role=status]")
    slider(browser, "teacher's score of item 1").send_keys(Keys.ARROW_RIGHT)
    moved = [2.1, *TEACHER[1:]]
    check(browser, moved, STUDENT, 1.0, 4.0, 1.0)
    loss = f"{expected(moved, STUDENT, 1.0, 4.0, 1.0)['loss']:.4f}."
    WebDriverWait(browser, 5).until(lambda _: status.text.endswith(loss))


def test_buttons(browser, listwise):
    listwise()
    again, agree, shift = browser.find_elements(By.CSS_SELECTOR, ".mmkd-listwise button")
    shift.send_keys(Keys.SPACE)
    check(browser, TEACHER, [y + 1 for y in STUDENT], 1.0, 1.0, 1.0)
    agree.send_keys(Keys.ENTER)
    check(browser, TEACHER, TEACHER, 1.0, 1.0, 1.0)
    assert numbers(browser)["loss"] == 0
    again.click()
    check(browser, TEACHER, STUDENT, 1.0, 1.0, 1.0)


def stands_alone(browser, address, width, kind):
    """No message, no request for anything else, nothing cut off or wider than the page."""
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert {url for url in sent if not url.startswith("data:")} <= {address}
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    parts = f"[...document.querySelectorAll('.{kind}, .{kind} *')]"
    cut = f"return {parts}.filter(n => n.clientWidth && n.scrollWidth > n.clientWidth).map(n => n.outerHTML)"
    assert browser.execute_script(cut) == []


@pytest.mark.parametrize("width", [800, 690, 390])
def test_it_fits_asks_nothing_of_others_and_labels_its_parts(browser, listwise, width):
    stands_alone(browser, listwise(width=width), width, "mmkd-listwise")
    inputs = browser.find_elements(By.CSS_SELECTOR, ".mmkd-listwise input")
    names = [node.accessible_name for node in inputs]
    assert all(names)
    assert len(set(names)) == 2 * len(TEACHER) + 3
    assert len(browser.find_elements(By.CSS_SELECTOR, ".mmkd-listwise :is(output, [role=status], [aria-live])")) == 1
    assert all(node.is_displayed() and node.size["width"] > 60 for node in inputs)


def test_it_takes_the_colours_of_the_page(browser, listwise):
    listwise(colors="rgb(20, 24, 30); color: rgb(206, 214, 221)")
    for part in ("data", "td", "button", "small"):
        node = browser.find_element(By.CSS_SELECTOR, f".mmkd-listwise {part}")
        assert node.value_of_css_property("color") == "rgba(206, 214, 221, 1)", part
        assert node.value_of_css_property("background-color") == "rgba(0, 0, 0, 0)", part


@pytest.mark.parametrize("lists", [([1.0, 2.0], [1.0, 2.0]), ([1.0, 2.0, 3.0], [1.0, 2.0])])
def test_lists_that_make_no_example_are_refused(lists):
    with pytest.raises(ValueError, match=r"expected as many, at least 3"):
        widgets.listwise(*lists)


@pytest.mark.parametrize("chapter", ["listwise", "tsne"])
def test_the_chapter_shows_the_example_of_today(chapter, shown_plane):
    kind, ours = {
        "listwise": ("mmkd-listwise", widgets.listwise([0.0] * 3, [0.0] * 3)),
        "tsne": ("mmkd-plane", shown_plane),
    }[chapter]
    cells = nbformat.read(CHAPTERS / f"{chapter}.ipynb", as_version=4).cells
    pages = [o["data"].get("text/html", "") for c in cells for o in c.get("outputs", []) if "data" in o]
    (shown,) = [page for page in pages if kind in page]
    assert shown.split("data-start=")[1].split("\n", 1)[1] == ours.split("data-start=")[1].split("\n", 1)[1]


ITEMS = [3, 14, 15, 92, 65]
VIEWS = {
    "raw": {"image": [[0, 1, 2, 3, 4], [0, 0, 0, 0, 0]], "text": [[0, 1, 2, 3, 4], [4, 4, 4, 4, 4]]},
    "mixed": {"image": [[0, 0, 0, 0, 9], [0, 3, 6, 9, 9]], "text": [[1, 1, 1, 1, 8], [0, 3, 6, 9, 8]]},
}
SAYS = {"raw": "mixing 0.10", "mixed": "mixing 0.45"}


@pytest.fixture(scope="module")
def demo():
    return load("demo")


@pytest.fixture(scope="module")
def shown_plane(demo):
    return widgets.plane(demo, ITEMS, VIEWS, SAYS, "Some items")


def told(browser):
    """What is said beside the picture: the title, and the number of marks joined and outlined."""
    marks = {part: len(browser.find_elements(By.CSS_SELECTOR, f".{part} path")) for part in ("chosen", "alike")}
    return browser.find_element(By.CSS_SELECTOR, ".item strong").text, marks


def outlined(demo, place):
    genre = demo.truth.genre[ITEMS]
    return 2 * (int((genre == genre[place]).sum()) - 1)


def test_who_points_at_a_mark_sees_its_item(browser, opened, demo, shown_plane):
    opened(shown_plane)
    spots = browser.find_elements(By.CSS_SELECTOR, ".points path")
    assert len(spots) == 2 * len(ITEMS)
    for spot, place in ((spots[6], 3), (spots[9], 4), (spots[0], 0)):  # item by item, its image, then its text
        ActionChains(browser).move_to_element(spot).perform()
        assert told(browser) == (demo.title(ITEMS[place]), {"chosen": 2, "alike": outlined(demo, place)})
    svg = browser.find_element(By.CSS_SELECTOR, ".mmkd-plane svg")
    ActionChains(browser).move_to_element_with_offset(svg, 0, 30).perform()  # far from any mark: nothing changes
    assert told(browser)[0] == demo.title(ITEMS[0])


def test_keys_choose_items_and_views(browser, opened, demo, shown_plane):
    opened(shown_plane)
    slider = browser.find_element(By.CSS_SELECTOR, ".mmkd-plane input[type=range]")
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert told(browser)[0] == demo.title(ITEMS[2])
    assert slider.get_attribute("aria-valuetext").startswith(f"{demo.title(ITEMS[2])}, ")
    before = browser.find_element(By.CSS_SELECTOR, ".chosen path").get_attribute("transform")
    browser.find_element(By.CSS_SELECTOR, ".mmkd-plane input[type=radio]").send_keys(Keys.ARROW_RIGHT)
    assert browser.find_element(By.CSS_SELECTOR, ".mmkd-plane .mixed").text == SAYS["mixed"]
    assert browser.find_element(By.CSS_SELECTOR, ".chosen path").get_attribute("transform") != before
    assert told(browser)[0] == demo.title(ITEMS[2])


def test_the_poster_is_the_items_own(browser, opened, demo, shown_plane):
    opened(shown_plane)
    poster = browser.find_element(By.CSS_SELECTOR, ".poster")
    slider = browser.find_element(By.CSS_SELECTOR, ".mmkd-plane input[type=range]")
    for item in ITEMS:
        shot = plt.imread(io.BytesIO(poster.screenshot_as_png))[..., :3]
        away = [float(np.abs(shot[::2, ::2] - demo.posters[other] / 255).mean()) for other in ITEMS]
        assert ITEMS[int(np.argmin(away))] == item
        assert min(away) < 0.05
        assert poster.accessible_name == f"poster of {demo.title(item)}"
        slider.send_keys(Keys.ARROW_RIGHT)


@pytest.mark.parametrize("width", [800, 390])
def test_the_plane_stands_alone(browser, opened, shown_plane, width):
    stands_alone(browser, opened(shown_plane, width), width, "mmkd-plane")
    names = [node.accessible_name for node in browser.find_elements(By.CSS_SELECTOR, ".mmkd-plane input")]
    assert names == ["raw", "mixed", "item"]


@pytest.mark.parametrize(
    ("views", "says"),
    [
        (VIEWS, {"raw": "x"}),
        (VIEWS | {"third": {"image": VIEWS["raw"]["image"]}}, SAYS | {"third": "x"}),
        ({"raw": {"image": [[0.0], [1.0]]}}, SAYS),
    ],
)
def test_views_that_do_not_fit_are_refused(demo, views, says):
    with pytest.raises(ValueError, match=r"expected a line, and \(2, 5\)"):
        widgets.plane(demo, ITEMS, views, says, "x")
