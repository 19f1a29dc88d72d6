"""The parts of the page, each from values that are measured already."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmkd_core.data import SPLITS, Dataset
from mmkd_core.datasets.importing import Card
from mmkd_core.evidence.compare import Comparison, difference_text, p_in_words, signed
from mmkd_core.evidence.report import drawing
from mmkd_core.evidence.report.lists import History
from mmkd_core.evidence.report.measured import METRICS, K, Measured, interval
from mmkd_core.evidence.report.page import Markup, element, figure, joined, section, table
from mmkd_core.evidence.store import is_capped

RECALL, NDCG = METRICS
SHOWN = 6  # lines of a drawing that can be told apart
CAPPED = " †"


class Control(NamedTuple):
    """A model beside the same on permuted content, `None` where that was not trained; `values` are its own."""

    row: Measured
    compared: Comparison | None
    values: Mapping[str, np.ndarray] | None


def percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def lead(data: Dataset, best: Measured, baselines: Sequence[Measured], compared: Mapping[str, Comparison],
         rival: Measured, control: Control | None) -> Markup:  # fmt: skip
    """What the page shows, in a few sentences."""
    others = " and ".join(f"{row.label} {percent(row.values[RECALL].mean())}" for row in baselines if row is not best)
    said = [
        f"Of what a user chose and training did not see, {best.label} has on average "
        f"{percent(best.values[RECALL].mean())} among its first {K} of {data.num_items:,} items; {others}."
    ]
    if (c := compared.get(best.label)) is not None:
        difference, _ = difference_text(c)
        verdict = (
            "more than chance over these users explains" if c.low > 0 and c.p_users < 0.05
            else "less, by more than chance explains" if c.high < 0 and c.p_users < 0.05
            else "which these users do not tell apart"
        )  # fmt: skip
        said.append(f"Against {rival.label}, the stronger baseline, that is {difference} in Recall@{K}: {verdict}.")
    lists = best.lists
    said.append(
        f"Its lists show {percent(lists.coverage, 0)} of the catalogue, and items that are "
        f"{percent(abs(lists.lift), 0)} {'more' if lists.lift > 0 else 'less'} popular than what users choose themselves."
    )
    if control is not None and control.compared is not None:
        c = control.compared
        sure = c.p_users < 0.05 and c.difference > 0
        said.append(
            f"With the content of other items in place of their own, {control.row.label} loses "
            f"{signed(c.difference)[1:]}: the content says something about taste." if sure
            else f"With the content of other items in place of their own, {control.row.label} does no worse that these "
            "users could tell: the content has not been shown to help."
        )  # fmt: skip
    return element("ul", *(element("li", sentence) for sentence in said), class_="lead")


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
        "dl", *(element("div", element("dt", k), element("dd", v)) for k, v in values.items()), class_="tiles"
    )


def data_card(data: Dataset, history: History, card: Card | None) -> Markup:
    """What there is, how it was split, what an import left out."""
    lengths = np.bincount(data.train[:, 0].numpy(), minlength=data.num_users)
    cold = data.num_items - len(data.train[:, 1].unique())
    parts = ", ".join(f"{name} {len(getattr(data, split)):,}" for split, name in
                      zip(SPLITS, ("training", "validation", "test"), strict=True))  # fmt: skip
    rows = [
        ("Split", parts if card is None else f"{parts} ({card.split['rule']})"),
        ("Interactions per user in training", f"median {np.median(lengths):.0f}, from {lengths.min():,} to {lengths.max():,}"),
        ("Users without training interactions", f"{(lengths == 0).sum():,}"),
        ("Items without training interactions", f"{cold:,}"),
        ("Popularity of items", f"Gini index {history.gini:.2f}; the most popular tenth has "
                                f"{percent(history.shares[0], 0)} of the choices"),
        ("Content of items", "; ".join(f"{m}: {x.shape[1]} numbers each, none for {int((x == 0).all(1).sum()):,}"
                                       for m, x in data.features.items()) or "none"),
    ]  # fmt: skip
    made = [table(("", "there is"), rows, "The data, as they were trained on")]
    if card is not None:
        if card.times:
            made.append(
                element(
                    "p", f"Made from {card.log['file']}: {card.rows:,} rows, from {card.times[0]} to {card.times[1]}."
                )
            )
        else:
            made.append(element("p", f"Made from {card.log['file']}: {card.rows:,} rows."))
        left = [
            (fault, f"{told['rows']:,}", ", ".join(map(str, told["first"]))) for fault, told in card.left_out.items()
        ]
        if left:
            made.append(table(("left out", "rows", "the first of them"), left, "What the import left out, and why"))
        steps = [(f"after {step['after']}", *(f"{step[name]:,}" for name in ("interactions", "users", "items")))
                 for step in card.steps]  # fmt: skip
        made.append(table(("", "interactions", "users", "items"), steps, "What was left after each step of the import"))
    made += [element("p", f"Note: {note}", class_="note") for note in data.notes]
    return section("data", "The data", *made)


def training(rows: Sequence[Measured], best: Measured) -> Markup:
    """Curves of those trainings that can be told apart, the best first."""
    trained = [row for row in rows if row.record is not None and len(row.record.history["validation"]) > 1]
    if not trained:
        return section("training", "How it was trained", element("p", "Nothing here was trained over epochs."))
    shown = sorted(trained, key=lambda row: row is not best)[:SHOWN]
    histories = {row.label: row.record.history for row in shown if row.record is not None}
    made = [figure(drawing.curves(histories, RECALL), f"Recall@{K} on validation; a star marks the epoch that was kept."
                   + (f" The {SHOWN} of {len(trained)} that come first." if len(trained) > SHOWN else ""))]  # fmt: skip
    if best.label in histories and histories[best.label]["losses"]:
        made.append(
            figure(
                drawing.losses(histories[best.label], best.label),
                f"Loss terms of {best.label}, weighted as in training.",
            )
        )
    return section("training", "How it was trained", element("div", *made, class_="charts"))


def accuracy(rows: Sequence[Measured], compared: Mapping[str, Comparison], rival: Measured) -> Markup:
    """The table of models, and their intervals."""
    told, capped = [], False
    for row in rows:
        cells = ["{:.4f} [{:.4f}, {:.4f}]".format(*interval(row.values[metric])) for metric in METRICS]
        difference, p = difference_text(compared[row.label]) if row.label in compared else ("", "")
        over = row.record is not None and is_capped(row.record)
        capped |= over
        cost = "" if row.record is None else f"{row.record.cost['seconds']:,.0f} s"
        told.append((row.label + (CAPPED if over else ""), *cells, difference, p, cost))
    head = ("model", f"Recall@{K}", f"NDCG@{K}", f"Recall@{K} less that of {rival.label}", "p", "training took")
    users = len(rival.values[RECALL])
    notes = [
        f"Means over {users:,} test users, with 95 % intervals over users. Each model was trained once: another seed "
        "gives other numbers, and an interval over users does not say how far. p is of the paired t-test over users, "
        f"after Holm's correction for all differences in the table. {rival.label} is the baseline that is better on "
        "validation."
    ]
    notes += ["† ended at its cap of epochs while it could still improve."] if capped else []
    drawn = drawing.intervals({row.label: interval(row.values[RECALL]) for row in rows}, "accuracy", f"Recall@{K}")
    return section(
        "accuracy", "How good it is", table(head, told, "Recall and NDCG on the test"),
        *(element("p", note) for note in notes), figure(drawn, f"Recall@{K} on the test, with 95 % intervals over users."),
    )  # fmt: skip


def beyond(rows: Sequence[Measured], history: History, best: Measured) -> Markup:
    """Coverage, evenness and popularity of the lists."""
    own = [
        ("what users chose", "", f"{history.gini:.2f}", f"{history.popularity:,.1f}", "", percent(history.shares[0], 0))
    ]
    told = [
        (row.label, percent(row.lists.coverage), f"{row.lists.gini:.2f}", f"{row.lists.popularity:,.1f}",
         f"{100 * row.lists.lift:+.0f} %", percent(row.lists.shares[0], 0))
        for row in rows
    ]  # fmt: skip
    head = (
        "lists of",
        f"coverage@{K}",
        f"Gini index@{K}",
        "average popularity",
        "popularity lift",
        "most popular tenth",
    )
    shown = {"what users chose": history.shares, best.label: best.lists.shares}
    shown |= {row.label: row.lists.shares for row in rows if row.record is None and row is not best}
    return section(
        "lists", "What its lists show",
        table(head, own + told, f"The first {K} places of every user with a history"),
        element("p", f"Coverage@{K} is the share of the catalogue that somebody is shown. The Gini index is 0 where all "
                "items are shown equally often, near 1 where one takes all. Average popularity is the number of training "
                "interactions of what a user is shown, averaged over users; the lift is by how much that exceeds the same "
                "of what users chose themselves."),
        figure(drawing.popularity(shown), "Where choices and recommendations go, by popularity of the items."),
    )  # fmt: skip


def content(control: Control | None, asked: str) -> Markup:
    """What the content of the items adds: the same model where items have each other's."""
    title = "What content adds"
    if control is None:
        return section("content", title, element("p", "No model here reads the content of items."))
    row, c, values = control
    if c is None or values is None:
        return section("content", title, element(
            "p", f"Not measured: {row.label} was not trained on permuted content, where each item has the content of "
            f"another. To train it, with the same settings: {asked}"))  # fmt: skip
    both = {"own content": interval(row.values[RECALL]), "others' content": interval(values[RECALL])}
    difference, _ = difference_text(c)
    cells = [(name, "{:.4f} [{:.4f}, {:.4f}]".format(*of)) for name, of in both.items()]
    return section(
        "content", title,
        element("p", f"{row.label} was trained twice with the same settings: once as it is, once with each item having "
                "the content of another. What the second lacks is what the content says about taste; what it keeps comes "
                "from who chose what."),
        table(("", f"Recall@{K}"), [*cells, ("difference", f"{difference}, {p_in_words(c.p_users, 1)[:-5]}")],
              f"{row.label} on its own and on permuted content"),
        figure(drawing.intervals(both, "content", f"Recall@{K}"), f"{row.label} with the content of its items, and of others."),
    )  # fmt: skip


def examples(users: Sequence[Markup], best: Measured) -> Markup:
    """The lists of some users, made by `example`."""
    return section(
        "users", f"{len(users)} users",
        element("p", f"Spread from the shortest history to the longest. On top what they chose in training, below what "
                f"{best.label} shows them first; ✓ marks what they did choose and training did not see."), *users,
    )  # fmt: skip


def settings(rows: Sequence[Measured]) -> Markup:
    """What each record is, so that it can be made again."""
    told = [(row.label, record.key, str(record.experiment.seed), f"{record.cost['parameters']['served']:,}",
             f"{record.history['best_epoch']} of {record.cost['epochs']}",
             ", ".join(f"{name}={value}" for name, value in record.experiment.hparams.items()))
            for row in rows if (record := row.record) is not None]  # fmt: skip
    head = ("model", "record", "seed", "numbers served", "epoch kept", "settings")
    return section("settings", "How to make it again", table(head, told, "The records behind this page"))


def example(name: str, known: int, held_out: int, rows: Mapping[str, Sequence[tuple[str, str | None, bool]]]) -> Markup:
    """One user: rows of items, each a title, the address of a picture or None, and whether it was held out."""
    lines: list[Any] = []
    for title, items in rows.items():
        lines.append(element("h4", title))
        lines.append(element("ul", *(_tile(*item) for item in items), class_="items"))
    what = f"{known:,} in training, {held_out:,} held out"
    return element("article", element("h3", name, element("span", what)), *lines, class_="user")


def _tile(title: str, picture: str | None, held_out: bool) -> Markup:
    seen = Markup(
        str(element("img", src=picture, alt=f"Picture of {title}", width=84, height=84)).removesuffix("</img>")
    )
    shown = seen if picture else element("span", title[:1] or "·", class_="blank", aria_hidden="true")
    mark = element("b", "✓ ", title="held out") if held_out else ""
    return element(
        "li", shown, element("span", joined([mark, title]), class_="name"), class_="hit" if held_out else "item"
    )
