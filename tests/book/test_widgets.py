"""What a reader moves in a page: its numbers are those of the library, with a mouse, with keys, and on a phone."""

import json
from pathlib import Path

import nbformat
import pytest
import torch
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from mmkd_core import losses
from mmkd_core.figures import widgets

CHAPTER = Path(__file__).parents[2] / "notebooks/listwise.ipynb"
TEACHER, STUDENT = [2.0, 1.2, 0.3, -0.4, -1.0], [0.4, 0.1, 1.1, 0.3, -0.2]


@pytest.fixture
def listwise(browser, tmp_path):
    """Opens the example on a page of its own, `width` pixels wide, light or dark."""

    def show(teacher=TEACHER, student=STUDENT, width=800, colors="white; color: black", **settings):
        page = tmp_path / "page.html"
        body = widgets.listwise(teacher, student, **settings)
        head = '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        page.write_text(f'{head}<body style="background: {colors}">{body}')
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get_log("browser"), browser.get_log("performance")
        browser.get(page.as_uri())
        return page.as_uri()

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


@pytest.mark.parametrize("width", [800, 690, 390])
def test_it_fits_asks_nothing_of_others_and_labels_its_parts(browser, listwise, width):
    address = listwise(width=width)
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert set(sent) <= {address}
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    parts = "[...document.querySelectorAll('.mmkd-listwise, .mmkd-listwise *')]"
    cut = f"return {parts}.filter(n => n.clientWidth && n.scrollWidth > n.clientWidth).map(n => n.outerHTML)"
    assert browser.execute_script(cut) == []
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


def test_the_chapter_shows_the_example_of_today():
    cells = nbformat.read(CHAPTER, as_version=4).cells
    pages = [o["data"].get("text/html", "") for c in cells for o in c.get("outputs", []) if "data" in o]
    (shown,) = [page for page in pages if "mmkd-listwise" in page]
    ours = widgets.listwise([0.0] * 3, [0.0] * 3)
    assert shown.split("data-start=")[1].split("\n", 1)[1] == ours.split("data-start=")[1].split("\n", 1)[1]
