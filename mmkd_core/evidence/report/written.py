"""`write_report`: from records and their data to the page, whole or not there."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from mmkd_core.data import Dataset
from mmkd_core.datasets import DATASETS, load, title_of
from mmkd_core.datasets.importing import Card
from mmkd_core.datasets.places import folder_of
from mmkd_core.evaluation import rank
from mmkd_core.evidence.compare import paired
from mmkd_core.evidence.report import grounds, sections
from mmkd_core.evidence.report.items import Items, items_of
from mmkd_core.evidence.report.lists import history_of, spread_users
from mmkd_core.evidence.report.measured import (
    BASELINES,
    METRICS,
    PERMUTED,
    Measured,
    against,
    baseline,
    labelled,
    of_record,
    permuted_values,
)
from mmkd_core.evidence.report.page import Markup, element, page
from mmkd_core.experiment import Record
from mmkd_core.files import CARD, write_whole
from mmkd_core.runs import OnTraining, data_of
from mmkd_core.served import ids_of

USERS, SHOWN = 10, 8  # users on the page, and items of each row


def write_report(
    records: Sequence[str | Path],
    out: str | Path,
    *,
    dataset: str | None = None,
    titles: str | Path | None = None,
    pictures: str | Path | None = None,
    permuted: bool = False,
    on_epoch: OnTraining | None = None,
) -> list[str]:
    """Writes the page `out` on what `records` were trained on and found; returns notes on what is not on it.

    A record is a file that `run` wrote, its weights beside it, or a folder: then all records in it that have weights
    and are of the same data. Data are loaded from `dataset`, or from where the first record has them. Popularity and
    ItemKNN stand beside the models, with the settings in force for the data. `titles` is a table with the columns item
    and title, `pictures` a folder of files called by the items' ids. With `permuted` the best model that reads content
    is trained again on permuted content, unless that record is there; the record goes where the first one is.

    The page is one file that asks no other: styles, drawings and pictures are in it. It is whole or not there. Raises
    `ValueError` for records of several data sets, of other data, without weights, for data without a test, and as
    `read_titles` and `find_pictures` do; `OSError` where `out` cannot be written.
    """
    _check_out(Path(out))
    files, notes = _files(records)
    first = Record.read(files[0]).experiment
    place, data = dataset or first.dataset, data_of(files[0], dataset)
    files, others = _of_these(files, data, [Path(record) for record in records if not Path(record).is_dir()])
    notes += others
    items = items_of(data, ids_of(place, data), *(None if path is None else Path(path) for path in (titles, pictures)))
    card = _card(place)
    rows = [of_record(file, data) for file in files]
    rows = [baseline(name, data, place) for name in BASELINES if name not in {row.model for row in rows}] + rows
    rows = sorted(labelled(rows), key=lambda row: row.validation or 0, reverse=True)
    best, rival = _best(rows), max(_baselines(rows), key=lambda row: row.validation or 0)
    compared, control = against(rows, rival), _control(rows, dataset, permuted, on_epoch)
    history, name = history_of(data), title_of(data.name)
    body = [
        element("header", element("p", "Recommendations, measured"), element("h1", name)),
        grounds.tiles(data),
        sections.lead(data, best, _baselines(rows), compared, rival, control),
        sections.accuracy(rows, compared, rival, best),
        sections.beyond(rows, history, best),
        sections.content(control),
        sections.examples(_examples(best, data, items), best),
        grounds.training(rows, best),
        grounds.data_card(data, history, card),
        grounds.records(rows),
    ]
    version = import_module("mmkd_core").__version__  # a file above this one in the rows of imports
    foot = f"mmkd-book {version}; {len(files)} record{'s' * (len(files) > 1)}; data {data.fingerprint[:16]}"
    text = page(f"{name}: what was recommended, and how well", body, foot)
    write_whole(Path(out), lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return [*notes, *([f"{len(items.broken)} pictures cannot be read: {items.broken[:5]}"] if items.broken else [])]


def _check_out(out: Path) -> None:
    if out.suffix.lower() not in (".html", ".htm") or out.is_dir():
        raise ValueError(f"--out {out}: is no page; expected the name of a file that ends in .html")


def _files(records: Sequence[str | Path]) -> tuple[list[Path], list[str]]:
    """The files of records: those given, and those with weights in folders that are given."""
    files: list[Path] = []
    notes = []
    for path in map(Path, records):
        if not path.is_dir():
            if (content := _content(path)) != "real":
                raise ValueError(
                    f"{path}: trained on {content} content; expected a record of the content as it is: the page finds "
                    "that of permuted content by itself"
                )
            files.append(path)
            continue
        found = sorted(path.rglob("s*-*.json"))
        whole = [file for file in found if file.with_suffix(".safetensors").exists()]
        if not whole:
            hint = "; it is a data folder, which --data takes" if (path / CARD).is_file() else ""
            raise ValueError(
                f"{path}: got {len(found)} records and none with weights beside it; expected a folder where `mmkd run` "
                f"wrote, or the files of records{hint}"
            )
        if len(whole) < len(found):
            notes.append(f"{path}: {len(found) - len(whole)} of {len(found)} records have no weights and are left out")
        files += [file for file in whole if _content(file) == "real"]
    if not files:
        raise ValueError(f"{records[0]}: got records of controls alone; expected one of the content as it is")
    return list({file.resolve(): file for file in files}.values()), notes


def _content(file: Path) -> str:
    """Which content a record was trained on, by the option of its data."""
    return Record.read(file).experiment.options.get("content", "real")


def _of_these(files: list[Path], data: Dataset, given: list[Path]) -> tuple[list[Path], list[str]]:
    """The records that were made from `data`; of others, one that was `given` is an error, the rest a note."""
    own = [file for file in files if Record.read(file).data["fingerprint"] == data.fingerprint]
    others = [file for file in files if file not in own]
    if wrong := [file for file in others if file in given]:
        raise ValueError(
            f"{wrong[0]}: made from other data than {data.name} is now; expected records of one data set on a page; "
            "say where that lies with --data FOLDER"
        )
    if not own:
        raise ValueError(
            f"none of the {len(files)} records was made from {data.name} as it is now; expected one at least"
        )
    return own, [f"{len(others)} of {len(files)} records are of other data and are left out"] if others else []


def _card(place: str) -> Card | None:
    """The account of an import, where the data come from one."""
    return None if place in DATASETS or not (folder_of(place) / CARD).is_file() else Card.read(folder_of(place))


def _baselines(rows: Sequence[Measured]) -> list[Measured]:
    return [row for row in rows if row.model in BASELINES]


def _best(rows: Sequence[Measured]) -> Measured:
    """The model that validation chooses, among those that records are of."""
    return max((row for row in rows if row.record is not None), key=lambda row: row.validation or 0)


def _control(
    rows: Sequence[Measured], dataset: str | None, permuted: bool, on_epoch: OnTraining | None
) -> sections.Control | None:
    """The best model that reads content beside the same on permuted content."""
    readers = [row for row in rows if row.record is not None and row.kind.reads_content]
    if not readers:
        if permuted:
            raise ValueError("--permuted: none of the records is of a model that reads content; expected one at least")
        return None
    row = _best(readers)
    assert row.record is not None
    twin = row.record.experiment.with_options(**PERMUTED)
    other = load(dataset or twin.dataset, **twin.options)
    values = permuted_values(row, other, permuted, on_epoch)
    compared = None if values is None else paired(row.values[METRICS[0]], values[METRICS[0]])
    return sections.Control(row, compared, values)


def _examples(best: Measured, data: Dataset, items: Items) -> list[Markup]:
    users = spread_users(data, USERS)
    lists = rank(best.tables, data.test.new_tensor(users), data, min(SHOWN, data.num_items)).items.tolist()
    made = []
    for user, best_items in zip(users, lists, strict=True):
        chosen = data.train[data.train[:, 0] == user, 1].tolist()
        later = {*data.val[data.val[:, 0] == user, 1].tolist(), *data.test[data.test[:, 0] == user, 1].tolist()}
        shown = {
            "chosen" if len(chosen) <= SHOWN else f"chosen, {SHOWN} of {len(chosen)}": chosen[:SHOWN],
            "recommended": [item for item in best_items if item >= 0],
        }
        tiles = {
            title: [(items.title(item), items.picture(item), item in later) for item in own]
            for title, own in shown.items()
        }
        made.append(sections.example(f"User {items.user(user)}", len(chosen), len(later), tiles))
    return made
