"""The parts of the page that say what all of it rests on: the data, the trainings, the records."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmkd_core.data import SPLITS, Dataset
from mmkd_core.datasets.importing import Card
from mmkd_core.evidence.report import drawing
from mmkd_core.evidence.report.lists import History
from mmkd_core.evidence.report.measured import K, Measured
from mmkd_core.evidence.report.page import Markup, element, figure, section, table
from mmkd_core.evidence.report.sections import RECALL, percent

DRAWN = 6  # lines that can be told apart


def tiles(data: Dataset) -> Markup:
    """The sizes of the data in large figures."""
    total = sum(len(getattr(data, split)) for split in SPLITS)
    values = {
        "users": f"{data.num_users:,}",
        "items": f"{data.num_items:,}",
        "interactions": f"{total:,}",
        "density": f"{100 * total / (data.num_users * data.num_items):.2g} %",
    }
    return element(
        "dl", *(element("div", element("dt", k), element("dd", v)) for k, v in values.items()), class_="sizes"
    )


def data_card(data: Dataset, history: History, card: Card | None) -> Markup:
    """What there is, how it was split, what an import left out."""
    lengths = np.bincount(data.train[:, 0].numpy(), minlength=data.num_users)
    names = zip(SPLITS, ("training", "validation", "test"), strict=True)
    parts = ", ".join(f"{name} {len(getattr(data, split)):,}" for split, name in names)
    chosen = f"median {np.median(lengths):.0f}, from {lengths.min():,} to {lengths.max():,}"
    content = [
        f"{modality}: {x.shape[1]:,} numbers each, {int((x == 0).all(1).sum()):,} items have none"
        for modality, x in data.features.items()
    ]
    rows = [
        ("split", parts if card is None else f"{parts}; {card.split['rule']}"),
        ("training interactions per user", chosen),
        ("users without any", f"{(lengths == 0).sum():,}"),
        ("items without any", f"{data.num_items - len(data.train[:, 1].unique()):,}"),
        ("popularity of items", f"Gini index {history.gini:.2f}; the most popular tenth has "
                                f"{percent(history.shares[0], 0)} of the choices"),
        ("content of items", "; ".join(content) or "none"),
    ]  # fmt: skip
    made = [table(("what", "how much"), rows, "The data, as they were trained on")]
    made += [] if card is None else _of_import(card)
    return section("data", "The data", *made, *(element("p", f"Note: {note}", class_="note") for note in _notes(data)))


def _notes(data: Dataset) -> list[str]:
    """What was seen in the files, without the folders in which they lie: these are nobody's business."""
    notes, folders = "\n".join(data.notes), {Path(source).parent for source in data.sources.values()}
    for folder in (str(folder) for folder in folders if folder.is_absolute() and folder.name):
        notes = notes.replace(f"{folder}{os.sep}", "").replace(folder, Path(folder).name)
    return notes.splitlines()


def _of_import(card: Card) -> list[Markup]:
    when = f", from {card.times[0]} to {card.times[1]}" if card.times else ""
    made = [element("p", f"Made by an import from {card.log['file']}: {card.rows:,} rows{when}.")]
    if card.left_out:
        left = [(why, f"{told['rows']:,}", ", ".join(map(str, told["first"]))) for why, told in card.left_out.items()]
        made.append(table(("left out, with", "rows", "the first of them"), left, "What the import left out, and why"))
    counts = ("interactions", "users", "items")
    steps = [(f"after {step['after']}", *(f"{step[name]:,}" for name in counts)) for step in card.steps]
    return [*made, table(("step", *counts), steps, "What was left after each step of the import")]


def training(rows: Sequence[Measured], best: Measured) -> Markup:
    """Curves of those trainings that can be told apart, the best first."""
    trained = [row for row in rows if row.record is not None and len(row.record.history["validation"]) > 1]
    if not trained:
        return section("training", "How it was trained", element("p", "Nothing here was trained over epochs."))
    shown = sorted(trained, key=lambda row: row is not best)[:DRAWN]
    histories = {row.label: row.record.history for row in shown if row.record is not None}
    caption = f"Recall@{K} on validation; a star marks the epoch that was kept."
    caption += f" Of {len(trained)} trainings the best and {DRAWN - 1} others." if len(trained) > DRAWN else ""
    made = [figure(drawing.curves(histories, RECALL), caption)]
    if best.label in histories and histories[best.label]["losses"]:
        terms = drawing.losses(histories[best.label], best.label)
        made.append(figure(terms, f"Loss terms of {best.label}, weighted as in training."))
    return section("training", "How it was trained", element("div", *made, class_="charts"))


def records(rows: Sequence[Measured]) -> Markup:
    """What each record is, so that it can be made again."""
    told = []
    for row in rows:
        if (record := row.record) is not None:
            chosen = ", ".join(f"{name}={value}" for name, value in record.experiment.hparams.items())
            epochs = f"{record.history['best_epoch']} of {record.cost['epochs']}"
            served = f"{record.cost['parameters']['served']:,}"
            told.append((row.label, record.key, str(record.experiment.seed), served, epochs, chosen))
    head = ("model", "record", "seed", "numbers served", "epoch kept", "settings")
    return section("records", "How to make it again", table(head, told, "The records behind this page"))
