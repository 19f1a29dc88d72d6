"""Draws book/_static/serve.png, the page of `mmkd serve` with the demo's films, from a record of the demo.

    mmkd run mmkd --data demo
    python tools/serve_picture.py runs/demo/mmkd/s0-KEY.json

One and a half dots per pixel of the book's column and 48 colours, because the picture is in the copy for Colab, too,
which is to stay small. `--width 390`, `--dark` and `--out` look at it otherwise.
"""

import argparse
import csv
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from mmkd_core import load
from mmkd_core.export import export

ROOT = Path(__file__).parents[1]
SHOWN = "return document.querySelectorAll(`#${arguments[0]}:not([hidden]) li`).length > 0"
USER = 27  # whose taste has two sides
DOTS, COLOURS = 1200, 48
SIZE = 192  # of a poster, three times its own: sharp where it is shown at two dots per pixel


def films(folder: Path) -> tuple[Path, Path]:
    """The demo's posters, and their titles in a table."""
    demo, pictures, titles = load("demo"), folder / "posters", folder / "titles.csv"
    pictures.mkdir()
    with titles.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["item", "title"])
        for item, poster in enumerate(demo.posters):
            rows.writerow([item, demo.title(item)])
            Image.fromarray(poster).resize((SIZE, SIZE), Image.Resampling.NEAREST).save(pictures / f"{item}.png")
    return titles, pictures


@contextmanager
def served(out: Path, titles: Path, pictures: Path) -> Iterator[str]:
    """The address of a service of an export."""
    command = [sys.executable, "-m", "mmkd_core", "serve", str(out), "--port", "0"]
    command += ["--titles", str(titles), "--pictures", str(pictures)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def shot(address: str, width: int, *, dark: bool, item: int) -> bytes:
    """The whole page as PNG, an item of the list chosen and another one taken for somebody new."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        screen = {"width": width, "height": 900, "deviceScaleFactor": 2, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        browser.get(f"{address}#{USER}")
        wait = WebDriverWait(browser, 20)
        for chosen, filled in ((None, "best"), (f"#best li:nth-child({item}) .item", "near"), ("#take", "new")):
            if chosen:
                browser.execute_script("document.querySelector(arguments[0]).click()", chosen)
            wait.until(lambda _, filled=filled: browser.execute_script(SHOWN, filled))
        screen["height"] = browser.execute_script("scrollTo(0, 0); return document.documentElement.scrollHeight")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        wait.until(lambda _: browser.execute_script("return [...document.images].every(image => image.complete)"))
        return browser.get_screenshot_as_png()
    finally:
        browser.quit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", help="a record of the demo, its weights beside it")
    parser.add_argument("--out", type=Path, default=ROOT / "book/_static/serve.png")
    parser.add_argument("--width", type=int, default=1040)
    parser.add_argument("--dark", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        export(given.record, Path(name) / "export")
        with served(Path(name) / "export", *films(Path(name))) as address:
            png = shot(address, given.width, dark=given.dark, item=3)
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.thumbnail((DOTS, picture.height), Image.Resampling.LANCZOS)
    picture = picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    picture.save(given.out, optimize=True)
    print(f"{given.out}: {picture.width} × {picture.height}, {given.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
