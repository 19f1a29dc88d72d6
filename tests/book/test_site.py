"""The rendered book, page by page: what its HTML says, and what a browser makes of it."""

import functools
import http.server
import json
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup
from selenium.webdriver.support.ui import WebDriverWait

SITE = Path(__file__).parents[2] / "_build/html"
PAGES = sorted(set(SITE.rglob("*.html")) - set(SITE.glob("_static/**/*.html")))
MEGABYTES_A_PAGE = 3
AXE = Path(__file__).parent / "vendor/axe-core/axe.min.js"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]  # axe's names of the rules of WCAG 2.2, A and AA

pytestmark = pytest.mark.skipif(not PAGES, reason="no rendered book: run `make html`")


@functools.cache
def soup(path):
    return BeautifulSoup(path.read_text(), "html.parser")


@functools.cache
def anchors(path):
    return {tag[key] for tag in soup(path).find_all(True) for key in ("id", "name") if tag.has_attr(key)}


def broken(page, address):
    """Why an address on a page leads nowhere in this site, or None."""
    target, anchor = urldefrag(urljoin(page.as_uri(), address))
    if urlsplit(target).scheme != "file":
        return None
    path = Path(unquote(urlsplit(target).path))
    if not (path.is_file() and path.is_relative_to(SITE)):
        return f"{address}: no such file"
    if anchor and path.suffix == ".html" and unquote(anchor) not in anchors(path):
        return f"{address}: no such anchor"
    return None


@pytest.fixture(scope="module", params=PAGES, ids=lambda page: page.relative_to(SITE).as_posix())
def page(request):
    return request.param


def test_internal_links_and_anchors_resolve(page):
    addresses = [tag[key] for key in ("href", "src") for tag in soup(page).find_all(attrs={key: True})]
    assert not [why for address in addresses if (why := broken(page, address))]


def test_images_have_alternative_text(page):
    assert not [image["src"] for image in soup(page).find_all("img") if not image.has_attr("alt")]
    figures = soup(page).select("article img")
    assert not [image["src"] for image in figures if not image["alt"].strip() or image["alt"].endswith(".png")]


def test_is_light(page):
    images = {page.parent / unquote(urlsplit(tag["src"]).path) for tag in soup(page).find_all("img", src=True)}
    size = page.stat().st_size + sum(image.stat().st_size for image in images if image.is_file())
    assert size < MEGABYTES_A_PAGE * 1_000_000


@pytest.mark.parametrize(
    ("address", "works"),
    [
        ("other.html#here", True),
        ("#top", True),
        ("other.html#gone", False),
        ("gone.html", False),
        ("../outside.html", False),
        ("https://example.org/gone", True),
        ("mailto:someone@example.org", True),
    ],
)
def test_the_link_gate(tmp_path, monkeypatch, address, works):
    monkeypatch.setattr(f"{__name__}.SITE", tmp_path / "site")
    (tmp_path / "site").mkdir()
    (tmp_path / "outside.html").touch()
    (tmp_path / "site/other.html").write_text('<p id="here">')
    start = tmp_path / "site/start.html"
    start.write_text('<p id="top">')
    assert (broken(start, address) is None) == works


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    """The address at which the site is served, on this machine alone."""
    handler = functools.partial(Quiet, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def visit(browser, address, width):
    """Opens a page, waits until its equations are set, and returns (console errors, requests, failed requests)."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(address)
    ready = "return document.readyState === 'complete' && (!window.MathJax || !!MathJax.startup?.promise)"
    WebDriverWait(browser, 20).until(lambda b: b.execute_script(ready))
    browser.execute_async_script(
        "Promise.all([window.MathJax?.startup?.promise, document.fonts.ready]).then(() => arguments[0]())"
    )
    errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    failed = [e["params"] for e in events if e["method"] == "Network.loadingFailed"]
    failed += [
        e["params"]["response"]
        for e in events
        if e["method"] == "Network.responseReceived" and e["params"]["response"]["status"] >= 400
    ]
    return errors, sent, failed


@pytest.fixture(scope="module", params=[1300, 390])
def width(request):
    return request.param


@pytest.fixture(scope="module")
def visited(browser, server, page, width):
    """Where a visit to a page ended, which is left open there, and what `visit` gives of it."""
    found = visit(browser, f"{server}/{page.relative_to(SITE).as_posix()}", width)
    return browser.current_url, *found


def test_in_a_browser(browser, server, visited, width):
    address, errors, sent, failed = visited
    assert browser.current_url == address
    assert errors == []
    assert failed == []
    assert sent
    assert not [url for url in sent if not url.startswith((server, "data:", "blob:"))]
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert not browser.find_elements("css selector", "mjx-merror, [data-mjx-error]")


def test_the_browser_gate_sees_errors_and_other_hosts(browser, server, tmp_path, monkeypatch):
    scripts = '<script src="http://127.0.0.2:9/x.js"></script><script>throw Error("x")</script>'
    monkeypatch.setattr(Quiet, "translate_path", lambda *_: str(tmp_path / "bad.html"))
    (tmp_path / "bad.html").write_text(scripts)
    errors, sent, failed = visit(browser, f"{server}/bad.html", 1300)
    assert any("Error: x" in error for error in errors)
    assert "http://127.0.0.2:9/x.js" in sent
    assert failed


def unspoken(browser):
    """The equations on the page that is open that a screen reader would pass over, or read glyph by glyph."""
    return browser.execute_script(
        "return [...document.querySelectorAll('mjx-container')].filter(equation =>"
        "  equation.querySelector(':scope > svg')?.getAttribute('aria-hidden') !== 'true'"
        "  || !equation.querySelector(':scope > mjx-assistive-mml > math')?.textContent.trim()"
        ").map(equation => equation.outerHTML)"
    )


def condense(browser):
    """Leaves of the page that is open what axe can say anything new about; places, names and texts stay as they are.

    The glyphs in the pictures of equations go, and their MathML becomes one text. Of the tokens of code, which differ
    in nothing but colour, one of each kind remains; the others, and those of one character, whose contrast axe does not
    judge, become plain text of their block. axe else spends three quarters of its time on these.
    """
    browser.execute_script(
        "for (const picture of document.querySelectorAll('mjx-container > svg')) picture.replaceChildren();"
        "for (const math of document.querySelectorAll('mjx-assistive-mml')) math.textContent = math.textContent;"
        "const seen = new Set();"
        "for (const token of document.querySelectorAll('pre span:not([id], :has(*))')) {"
        "  const parent = token.parentElement, block = token.closest('.cell_input, .cell_output, .highlight, pre');"
        "  const kind = [token.className, parent.tagName, parent.className, block.className].join();"
        "  const judged = token.textContent.trim().length > 1;"
        "  if (!judged || seen.has(kind)) token.replaceWith(token.textContent); else seen.add(kind);"
        "}"
        "for (const block of document.querySelectorAll('pre')) block.normalize();"
    )


def violations(browser, theme):
    """What axe-core finds on the page that is open, folds too, in the light or the dark theme: rule, place, reason."""
    browser.execute_script(
        "const still = '<style>* { transition: none !important; animation: none !important }</style>';"
        "document.head.insertAdjacentHTML('beforeend', still);"
        "for (const folded of document.querySelectorAll('details')) folded.open = true;"
        "document.documentElement.dataset.mode = document.documentElement.dataset.theme = arguments[0]",
        theme,
    )
    if not browser.execute_script("return !!window.axe"):
        browser.execute_script(AXE.read_text())
    found = browser.execute_async_script(
        "axe.run({runOnly: arguments[0], resultTypes: ['violations']}).then(r => arguments[1](r.violations))", WCAG
    )
    return [f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]]


def test_no_barrier_is_found(browser, visited):
    assert browser.current_url == visited[0]  # after `test_in_a_browser`, since folds are opened here
    assert unspoken(browser) == []
    condense(browser)
    assert {theme: violations(browser, theme) for theme in ("light", "dark")} == {"light": [], "dark": []}


def test_the_gate_finds_barriers(browser, server, tmp_path, monkeypatch):
    monkeypatch.setattr(Quiet, "translate_path", lambda *_: str(tmp_path / "barred.html"))
    (tmp_path / "barred.html").write_text(
        "<!doctype html><html lang=en><title>t</title><style>html[data-theme=dark] p { color: #888; background: #777 }"
        "</style><main><h1>h</h1><p>text</p></main><button></button>"
    )
    visit(browser, f"{server}/barred.html", 1300)
    light, dark = violations(browser, "light"), violations(browser, "dark")
    assert [finding.split(":")[0] for finding in light] == ["button-name"]
    assert sorted(finding.split(":")[0] for finding in dark) == ["button-name", "color-contrast"]


def test_what_is_left_out_hides_no_barrier(browser, server, tmp_path, monkeypatch):
    monkeypatch.setattr(Quiet, "translate_path", lambda *_: str(tmp_path / "dense.html"))
    math = "<mjx-container><svg aria-hidden=true><g></g></svg>{}</mjx-container>"
    spoken, silent = math.format("<mjx-assistive-mml><math><mi>x</mi></math></mjx-assistive-mml>"), math.format("")
    (tmp_path / "dense.html").write_text(
        "<!doctype html><html lang=en><title>t</title><style>mjx-assistive-mml { position: absolute }"
        ".k { color: #ccc } .c, .out .n { color: #ddd }</style>"
        f"<main><h1>h</h1><a href=#>{spoken}</a>{silent}<pre><span class=n>ours</span> <span class=n>other</span> "
        "<span class=k>=</span> <span class=k>if</span> <span class=k>else</span> <span class=c># why</span></pre>"
        "<div class=cell_output><pre class=out><span class=n>said</span></pre></div></main>"
    )
    visit(browser, f"{server}/dense.html", 1300)
    assert unspoken(browser) == [silent.replace("=true", '="true"')]
    look = (
        "return [...document.querySelectorAll('main, a, mjx-container, pre')].map("
        "place => [JSON.stringify(place.getBoundingClientRect()), place.querySelector('svg') ? '' : place.innerText])"
    )
    before = browser.execute_script(look)
    condense(browser)
    assert browser.execute_script(look) == before
    assert len(browser.find_elements("css selector", "pre span")) == 4
    assert not browser.find_elements("css selector", "g, mi")
    found = violations(browser, "light")
    assert [finding.split(":")[0] for finding in found] == ["color-contrast"] * 3
