"""The page of `mmkd report`: its numbers are the library's, its text is text, and it asks no other file."""

import re
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from command_line import call
from made_up_folder import ITEMS, USERS, write_folder
from PIL import Image
from scipy import stats
from shop import item_id, recorded, user_id

from mmkd_core import plan, run
from mmkd_core.data import Dataset, Embeddings
from mmkd_core.datasets import load
from mmkd_core.datasets.importing import import_log
from mmkd_core.evaluation import evaluate
from mmkd_core.evidence.report import lists, measured, write_report
from mmkd_core.experiment import Record
from mmkd_core.hits import read_hits
from mmkd_core.models import build
from mmkd_core.models.base import recommend
from mmkd_core.runs import restore

EVIL = '<script>alert("x")</script>&amp;\'"'
VOID = {"img", "meta", "br"}


class Page(HTMLParser):
    """What a browser makes of a page: elements with their attributes, text, and the cells of each table by caption."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open, self.tables, self.rows = [], [], [], {}, []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.rows = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "caption":
            self.tables[len(self.tables)] = self.rows

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] == "caption":
            self.tables[data] = self.tables.pop(len(self.tables) - 1)
        elif self.open and ("td" in self.open or "th" in self.open):
            self.rows[-1][-1] += f" {data}" if self.rows[-1][-1] else data

    @property
    def text(self):
        return " ".join(self.texts)

    def rows_of(self, caption):
        return {row[0]: row[1:] for row in self.tables[caption][1:]}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop made of a log, with hostile ids, titles and pictures; and records of three models on it."""
    home = tmp_path_factory.mktemp("report")
    plain = load(write_folder(home / "plain"))
    rows = [f"{user_id(user)},{EVIL_ID if item == 0 else item_id(item)}\n"
            for user, item in torch.cat([plain.train, plain.val, plain.test]).tolist()]  # fmt: skip
    (home / "log.csv").write_text("who,what\n" + "".join(rows) + ",x\n,y\n")
    (home / "features").mkdir()
    np.save(home / "features/image.npy", plain.features["image"].numpy())
    (home / "features/ids.txt").write_text("".join(f"{EVIL_ID if i == 0 else item_id(i)}\n" for i in range(ITEMS)))
    options = {"user": "who", "item": "what", "k_core": 0, "features": home / "features"}
    import_log(home / "log.csv", home / "shop", **options)
    titles = "".join(
        f'{item_id(item)},"Title {item}, {EVIL.replace(chr(34), chr(34) * 2)}"\n' for item in range(1, ITEMS)
    )
    (home / "titles.csv").write_text("item,title\n" + titles)
    (home / "pictures").mkdir()
    for item in range(1, ITEMS):
        Image.new("RGBA" if item % 2 else "L", (300, 200), item).save(home / "pictures" / f"{item_id(item)}.PNG")
    (home / "pictures" / f"{item_id(1)}.PNG").write_bytes(b"\x89PNG no picture")
    records = [recorded(home / "shop", home / "runs", model) for model in ("lightgcn", "vbpr")]
    return home, records


EVIL_ID = "<b>0</b>"


@pytest.fixture(scope="module")
def page(shop):
    home, records = shop
    notes = write_report(
        records, home / "page.html", titles=home / "titles.csv", pictures=home / "pictures", permuted=True
    )
    return (home / "page.html").read_text(encoding="utf-8"), notes


@pytest.fixture(scope="module")
def read(page):
    return Page(page[0])


# --- the numbers ---


def shown(cell):
    """The number, and where there is one its interval, of a cell."""
    return [float(number) for number in re.findall(r"[-+]?\d+\.\d+", cell.replace("−", "-"))]


def test_recall_and_ndcg_are_the_records(shop, read):
    _, records = shop
    table = read.rows_of("Recall and NDCG on the test")
    assert {*table} == {"LightGCN †", "VBPR †", "ItemKNN", "Popularity"}  # one epoch is the cap
    for record, label in zip(records, ("LightGCN †", "VBPR †"), strict=True):
        for place, metric in enumerate(("recall@20", "ndcg@20")):
            values = read_hits(record)[metric].numpy()
            mean, low, high = shown(table[label][place])
            assert mean == pytest.approx(Record.read(record).metrics[metric], abs=1e-4)
            interval = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
            assert (low, high) == pytest.approx(interval, abs=1e-4)


def test_baselines_stand_beside_them_with_paired_differences(shop, read):
    home, records = shop
    data = load(home / "shop")
    table = read.rows_of("Recall and NDCG on the test")
    values = {}
    for name, label in (("popularity", "Popularity"), ("itemknn", "ItemKNN")):
        values[label] = evaluate(build(name, data, {}).embed(), data)["recall@20"].numpy()
        assert shown(table[label][0])[0] == pytest.approx(values[label].mean(), abs=1e-4)
    (rival,) = [label for label in values if table[label][2] == ""]
    difference = read_hits(records[0])["recall@20"].numpy() - values[rival]
    mean, low, high = shown(table["LightGCN †"][2])
    assert mean == pytest.approx(difference.mean(), abs=1e-4)
    interval = stats.t.interval(0.95, len(difference) - 1, difference.mean(), stats.sem(difference))
    assert (low, high) == pytest.approx(interval, abs=2e-4)


def test_what_content_adds_is_the_model_less_the_same_on_permuted_content(shop, read):
    home, records = shop
    twin = run(plan("vbpr", str(home / "shop"), fit={"epochs": 1}, options={"content": "permuted"}), home / "runs")
    own, others = (Record.read(records[1]).metrics["recall@20"], twin.metrics["recall@20"])
    table = read.rows_of("VBPR on the content of its items, and of others")
    for name, value in (("own content", own), ("others' content", others), ("difference", own - others)):
        assert shown(table[name][0])[0] == pytest.approx(value, abs=1e-4)


def test_the_data_card_counts_what_the_import_left_out(shop, read):
    assert read.rows_of("What the import left out, and why") == {"no user": ["2", "row 201, row 202"]}
    assert read.rows_of("What was left after each step of the import")["after reading"] == ["200", "20", "60"]
    for word in ("200", f"{USERS}", f"{ITEMS}", "image: 6 numbers each, 0 items have none", "a share drawn at random"):
        assert word in read.text


def test_lists_of_a_user_are_what_recommend_gives(shop, page):
    home, records = shop
    data = load(home / "shop")
    user = lists.spread_users(data, 10)[0]
    own = [record for record in records if measured.of_record(record, data).validation]
    best = max(own, key=lambda record: Record.read(record).validation["recall@20"])
    items = recommend(restore(best, data), [user], data, 8).items[0].tolist()
    ids = measured_ids(home)
    first = page[0].partition("<article")[2].partition("</article>")[0].partition("recommended")[2]
    titles = re.findall(r"Title (\d+), .*?</span>|&lt;b&gt;(0)&lt;/b&gt;</span>", first)
    assert [int(one or other) for one, other in titles] == [ids[item] for item in items]


def measured_ids(home):
    import pyarrow.parquet as pq

    rows = pq.read_table(home / "shop/ids.parquet").to_pylist()
    names = {row["number"]: row["id"] for row in rows if row["kind"] == "item"}
    return {number: 0 if name == EVIL_ID else int(name[1:]) for number, name in names.items()}


# --- what lists show, by hand ---


def test_coverage_gini_and_popularity_by_hand():
    train = torch.tensor([[0, 0], [0, 1], [1, 0], [2, 0]])
    none = torch.empty(0, 2, dtype=torch.int64)
    data = Dataset("small", 4, 4, train, none, none)
    tables = Embeddings(torch.ones(4, 1), torch.tensor([[4.0], [3.0], [2.0], [1.0]]))
    found = lists.lists_of(tables, data, 1)  # user 0 gets 2, users 1 and 2 get 1; user 3 has no taste
    assert found.coverage == 0.5
    assert found.gini == pytest.approx(lists.gini(np.array([0, 2, 1, 0])))
    assert found.popularity == pytest.approx((0 + 1 + 1) / 3)
    own = ((3 + 1) / 2 + 3 + 3) / 3
    assert lists.history_of(data).popularity == pytest.approx(own)
    assert found.lift == pytest.approx(2 / 3 / own - 1)


@pytest.mark.parametrize(("counts", "index"), [([1, 1, 1, 1], 0), ([0, 0, 0, 4], 0.75), ([0, 0], 0), ([1, 3], 0.25)])
def test_the_gini_index(counts, index):
    assert lists.gini(np.array(counts)) == pytest.approx(index)
    if total := sum(counts):
        pairs = sum(abs(one - other) for one in counts for other in counts)
        assert index == pytest.approx(pairs / (2 * len(counts) * total))


def test_shares_of_the_tenths_are_of_all_places(data):
    tables = build("popularity", data, {}).embed()
    found = lists.lists_of(tables, data, 4)
    assert found.shares.sum() == pytest.approx(1)
    assert found.shares[0] > 0.5  # the most popular come first


# --- the page ---


def test_what_comes_from_data_is_text(page, read):
    assert "<script" not in page[0]
    assert "<b>0</b>" not in page[0]
    assert {tag for tag, _ in read.elements}.isdisjoint({"script", "iframe", "object", "link", "base", "form"})
    assert all(not name.startswith("on") for _, attributes in read.elements for name in attributes)
    assert EVIL in read.text
    assert f"Picture of Title 5, {EVIL}" in {attributes.get("alt") for _, attributes in read.elements}


def test_it_is_one_file_that_asks_no_other(page, read):
    assert not re.search(
        r"https?:|//|@import|\burl\((?!#)", page[0].replace("data:image/webp;base64,", "").partition("<img")[0]
    )
    for tag, attributes in read.elements:
        for name in ("src", "href", "xlink:href", "data", "srcset", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/webp;base64,")), (tag, value)


def test_ids_are_unique_and_what_is_named_is_there(page, read):
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len({*ids})
    named = {a["aria-labelledby"] for _, a in read.elements if "aria-labelledby" in a}
    named |= {*re.findall(r"url\(#([^)]+)\)", page[0]), *re.findall(r'href="#([^"]+)"', page[0])}
    assert named <= {*ids}


def test_every_picture_and_drawing_says_what_it_shows(read):
    assert all(attributes.get("alt") for tag, attributes in read.elements if tag == "img")
    drawn = [attributes for tag, attributes in read.elements if tag == "svg"]
    assert len(drawn) == 5  # accuracy, popularity, content, validation, losses
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in drawn)


def test_a_picture_that_cannot_be_read_is_told_and_does_not_stop_it(page):
    assert page[1] in ([], [f"1 pictures cannot be read: ['{item_id(1)}.PNG']"])


def test_colours_are_the_pages_own(page):
    inside = "".join(re.findall(r"<svg.*?</svg>", page[0], re.DOTALL))
    assert set(re.findall(r"#[0-9a-fA-F]{6}", inside)) <= {"#ffffff", "#000000"}
    assert "var(--c1)" in inside
    assert "prefers-color-scheme: dark" in page[0]
    assert "@media print" in page[0]


def test_the_same_records_make_the_same_page(shop, page, tmp_path):
    home, records = shop
    write_report(records, tmp_path / "again.html", titles=home / "titles.csv", pictures=home / "pictures")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page[0]


# --- records ---


def test_a_folder_stands_for_its_records_of_these_data(shop, tmp_path, capsys):
    home, records = shop
    stray = home / "runs/shop/lightgcn/s9-0000000000000000.json"
    stray.write_text(records[0].read_text())
    other = recorded(write_folder(tmp_path / "other", seed=1), home / "runs")
    try:
        status, out, err = call(capsys, "report", home / "runs", "--data", home / "shop", "--out", tmp_path / "x.html")
    finally:
        for file in (stray, *other.parent.glob(f"{other.stem}.*")):
            file.unlink()
    assert (status, out) == (0, f"{tmp_path / 'x.html'}: written\n")
    assert re.findall("note: .*", err) == [  # the control on permuted content is no row, and no note either
        f"note: {home / 'runs'}: 1 of 5 records have no weights and are left out",
        "note: 1 of 3 records are of other data and are left out",
    ]
    table = Page((tmp_path / "x.html").read_text()).rows_of("Recall and NDCG on the test")
    assert {*table} == {"LightGCN †", "VBPR †", "ItemKNN", "Popularity"}


def test_seeds_and_settings_tell_rows_apart(shop, tmp_path):
    home, _ = shop
    made = [
        run(plan("bpr-mf", str(home / "shop"), seed=seed, hparams=hparams, fit={"epochs": 1}), tmp_path / "runs")
        for seed, hparams in ((0, {}), (1, {}), (1, {"l2": 0.5}))
    ]
    files = [record.file(tmp_path / "runs") for record in made]
    write_report(files, tmp_path / "x.html")
    labels = Page((tmp_path / "x.html").read_text()).rows_of("The records behind this page")
    assert {*labels} == {"BPR-MF, seed 0", *(f"BPR-MF, seed 1 ({record.key[:4]})" for record in made[1:])}


def test_without_titles_pictures_and_ids_there_are_numbers(tmp_path, capsys):
    folder = write_folder(tmp_path / "plain")
    record = recorded(folder, tmp_path / "runs", "popularity")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert call(capsys, "report", record, "--out", tmp_path / "x.html")[0] == 0
    page = Page((tmp_path / "x.html").read_text())
    assert "User 0" in page.text
    assert "Nothing here was trained over epochs." in page.text
    assert "No model here reads the content of items." in page.text
    assert str(tmp_path) not in page.text


# --- what is refused ---


@pytest.fixture(scope="module")
def faults(shop, tmp_path_factory):
    """What the names in braces of the cases stand for, beside {shop}, {record} (of LightGCN) and {tmp}."""
    home, records = shop
    place = tmp_path_factory.mktemp("faults")
    other = write_folder(place / "other", seed=1)
    made = {"other": other, "foreign": recorded(other, place / "others"), "none": place / "none"}
    made["hollow"] = place / "hollow"
    made["hollow"].mkdir()
    (place / "bare").mkdir()
    made["control"] = recorded(other, place / "others", "vbpr", content="permuted")
    made["bare"] = place / "bare" / records[0].name  # a record without weights
    made["bare"].write_bytes(records[0].read_bytes())
    (place / "cut").mkdir()
    made["cut"] = place / "cut" / records[0].name  # with half of them
    made["cut"].write_bytes(records[0].read_bytes())
    weights = records[0].with_suffix(".safetensors").read_bytes()
    made["cut"].with_suffix(".safetensors").write_bytes(weights[: len(weights) // 2])
    (place / "lone").mkdir()
    made["lone"] = place / "lone" / records[1].name  # a whole record of a reader of content, in no folder of records
    for suffix in (".json", ".safetensors", ".npz"):
        made["lone"].with_suffix(suffix).write_bytes(records[1].with_suffix(suffix).read_bytes())
    texts = {
        "json.json": "{}", "titles.csv": "id,title,year\na,b,1\n", "twice.csv": "item,title\nB001,a\nB001,b\n",
        "others.csv": "item,title\nX1,a\n", "short.csv": "item,title\nB001\n", "alone.csv": "item,title\n",
        "empty.csv": "", "latin.csv": "", "zeros.csv": "item,title\nB001,a\0b\n",
    }  # fmt: skip
    for name, text in texts.items():
        made[name.partition(".")[0]] = place / name
        (place / name).write_text(text)
    (place / "latin.csv").write_bytes(b"item,title\nB001,\xe9\n")
    made["photos"] = place / "photos"
    made["photos"].mkdir()
    Image.new("RGB", (4, 4)).save(made["photos"] / "X1.png")
    return made | {"shop": home / "shop", "record": records[0], "runs": home / "runs"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--out", "{tmp}/x.html"], "the following arguments are required: RECORD"),
        (["{record}", "--out"], "argument --out: expected one argument"),
        (["{record}", "--out", "{tmp}"], r"--out .*: is no page; expected the name of a file that ends in \.html"),
        (["{record}", "--out", "{tmp}/page.pdf"], r"--out .*page\.pdf: is no page"),
        (["{record}", "--out", "{record}/x.html"], "cannot be written"),
        (["{none}"], "none: no such record; expected a file that `mmkd run` wrote"),
        (["{json}"], r"json\.json: not a record"),
        (["{hollow}"], "hollow: got 0 records and none with weights beside it; expected a folder"),
        (["{shop}"], "shop: got 0 records .*; it is a data folder, which --data takes"),
        (["{bare}"], "no weights beside the record; train it again"),
        (["{cut}"], "not the weights of the record beside it"),
        (["{record}", "--data", "{other}"], "made from other data than other is now"),
        (["{record}", "{foreign}"], "made from other data than shop is now; expected records of one"),
        (["{runs}", "--data", "{other}"], "none of the . records was made from other as it is now"),
        (["{record}", "--data", "{none}"], "its data: unknown data set"),
        (["{record}", "--permuted"], "--permuted: none of the records is of a model that reads"),
        (["{control}"], "trained on permuted content; expected a record of the content as it is"),
        (["{lone}", "--permuted"], "lies in no folder of records"),
        (["{record}", "--titles", "{none}"], "none: expected a .csv or .tsv file"),
        (["{record}", "--titles", "{titles}"], r"got the columns \['id', 'title', 'year'\]; expected"),
        (["{record}", "--titles", "{twice}"], "row 3: the id 'B001' stands twice"),
        (["{record}", "--titles", "{others}"], r"got a title of \['X1'\], of no item; expected"),
        (["{record}", "--titles", "{short}"], "row 2: got 1 fields; expected 2"),
        (["{record}", "--titles", "{alone}"], "got no row; expected the titles of some items"),
        (["{record}", "--titles", "{empty}"], r"empty\.csv: .*got the columns \[\]"),
        (["{record}", "--titles", "{latin}"], r"latin\.csv: cannot be read as titles .*utf-8"),
        (["{record}", "--pictures", "{none}"], "none: no such folder; expected one of pictures"),
        (["{record}", "--pictures", "{shop}"], "shop: got no picture; expected some by the items' ids"),
        (["{record}", "--pictures", "{photos}"], r"photos: got a picture of \['X1'\], of no item"),
    ],
)  # fmt: skip
def test_it_is_refused(arguments, says, faults, tmp_path, refused):
    there = sorted(faults["runs"].rglob("*"))
    arguments = arguments if "--out" in arguments else [*arguments, "--out", "{tmp}/x.html"]
    refused("report", *(argument.format(**faults, tmp=tmp_path) for argument in arguments), says=says)
    assert not list(tmp_path.iterdir())
    assert sorted(faults["runs"].rglob("*")) == there


@pytest.mark.parametrize("kind", ["cut", "bomb", "text", "folder"])
def test_pictures_of_any_bytes_are_counted_and_left_out(kind, shop, tmp_path, capsys):
    _, records = shop
    buffer = tmp_path / "good.png"
    Image.new("RGB", (60, 60), 7).save(buffer)
    header = bytearray(buffer.read_bytes())
    header[16:24] = (60_000).to_bytes(4, "big") * 2  # says that it has billions of pixels
    contents = {"cut": buffer.read_bytes()[:70], "bomb": bytes(header), "text": b"<svg onload='x'>", "folder": None}
    (folder := tmp_path / "photos").mkdir()
    for item in range(1, ITEMS):
        path = folder / f"{item_id(item)}.png"
        path.mkdir() if contents[kind] is None else path.write_bytes(contents[kind])
    (folder / "X.png").write_bytes(buffer.read_bytes())
    status, _, err = call(capsys, "report", records[0], "--pictures", folder, "--out", tmp_path / "x.html")
    if kind == "folder":
        assert (status, "got a picture of ['X'], of no item" in err) == (2, True)
        return
    assert (status, "pictures cannot be read: ['B" in err) == (0, True)
    assert "<img" not in (tmp_path / "x.html").read_text()
