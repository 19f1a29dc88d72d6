"""The contact sheet: whose neighbours it shows, that it needs nothing else, and that no text breaks it."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from gallery import item_id
from made_up_folder import ITEMS

from mmkd_core import load
from mmkd_core.datasets.extracting import extract_features
from mmkd_core.sheet import write_sheet
from mmkd_core.taste import lift

pytestmark = pytest.mark.usefixtures("unchecked")


def written(shop, **media):
    extracted = extract_features(shop, **media)
    data = load(shop)
    path = shop.parent / "sheet.html"
    write_sheet(path, data, extracted, lift(data))
    return path.read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Counts tags and attributes, and checks that what must be closed is."""

    def __init__(self, page):
        super().__init__()
        self.seen, self.open = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag in ("section", "article", "div", "main", "table"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in ("section", "article", "div", "main", "table"):
            assert self.open.pop() == tag


def test_items_stand_beside_their_neighbours_by_each_modality(shop):
    page = written(shop, images=shop.parent / "pictures", texts=shop.parent / "captions.csv")
    tags = Tags(page)
    assert tags.open == []
    sections = page.split("<section>")[1:]
    assert len(sections) == 12
    assert all(section.count("<article") == 1 + 2 * 6 for section in sections)
    own = [re.search(r"<b>B(\d+)é</b>", section)[1] for section in sections]
    assert own == sorted({*own})
    data = load(shop)
    x = data.features["image"].double()
    z = (x - x.mean(0)) / x.std(0).clamp(min=1e-9)
    z = z / z.norm(dim=1, keepdim=True)
    item = int(own[3])
    nearest = (z @ z[item]).argsort(descending=True)[1:7].tolist()
    row = re.search(r"<h2>by image</h2>(.*?)<h2>", sections[3], re.DOTALL)[1]
    assert [int(found) for found in re.findall(r"<b>B(\d+)é</b>", row)] == nearest
    shared = [len({*users(data, item)} & {*users(data, other)}) for other in nearest]
    assert [0 if text == "no" else int(text) for text in re.findall(r"<small>(\w+) shared", row)] == shared


def users(data, item):
    return data.train[data.train[:, 1] == item, 0].tolist()


def test_it_fetches_nothing_and_pictures_have_texts(shop):
    tags = Tags(written(shop, images=shop.parent / "pictures", texts=shop.parent / "captions.csv"))
    pictures = [attributes for tag, attributes in tags.seen if tag == "img"]
    assert len(pictures) == 12 * 13
    assert all(own["src"].startswith("data:image/jpeg;base64,") and own["alt"].startswith("No. ") for own in pictures)
    assert not [tag for tag, own in tags.seen if tag in ("script", "link", "iframe") or "href" in own]


def test_texts_cannot_break_it(shop):
    evil = "<script>alert(1)</script> ' \" & \x00 ]]> <b onclick=x>"
    lines = [f'{item_id(item)},"{evil.replace(chr(34), chr(34) * 2)} {item % 3}"' for item in range(ITEMS)]
    (shop.parent / "evil.csv").write_text("\n".join(["id,text", *lines]), encoding="utf-8")
    page = written(shop, images=shop.parent / "pictures", texts=shop.parent / "evil.csv")
    assert "<script" not in page
    assert {tag for tag, _ in Tags(page).seen} <= {
        "html", "meta", "title", "style", "main", "h1", "p", "table", "tr", "th", "td", "section", "article", "img",
        "div", "h2", "b", "small",
    }  # fmt: skip


def test_without_pictures_it_has_texts_and_a_missing_one_is_said(shop):
    page = written(shop, texts=shop.parent / "captions.csv")
    assert "<img" not in page
    for item in range(0, ITEMS, 2):
        (shop.parent / "pictures" / f"{item_id(item)}.png").unlink()
    page = written(shop, images=shop.parent / "pictures", audio=shop.parent / "sounds")
    assert "no picture" in page
    assert np.all([int(name) % 2 for name in re.findall(r"<article class=own>.*?<b>B(\d+)é</b>", page)])
    assert page.count("<section>") == 12


def test_a_sheet_is_a_page(shop, refused):
    says = "got the sheet sheet.png; expected the name of a page, such as sheet.html"
    refused("features", shop, "--images", shop.parent / "pictures", "--sheet", "sheet.png", says=says)
    assert not (shop / "image_feat.npy").exists()
