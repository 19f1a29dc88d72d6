"""The parts of the page that say how good the models are and what they show, from values that are measured."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmkd_core.data import Dataset
from mmkd_core.evidence.compare import ALPHA, Comparison, format_p
from mmkd_core.evidence.report import drawing
from mmkd_core.evidence.report.lists import History
from mmkd_core.evidence.report.measured import METRICS, K, Measured, interval
from mmkd_core.evidence.report.page import Markup, element, figure, joined, section, table
from mmkd_core.evidence.store import is_capped

RECALL, NDCG = METRICS
CAPPED = " †"
CHOSEN = "what users chose"


class Control(NamedTuple):
    """A model beside the same on permuted content, None where that was not trained; `values` are its own."""

    row: Measured
    compared: Comparison | None
    values: Mapping[str, np.ndarray] | None


def percent(share: float, digits: int = 1) -> str:
    """A share as text."""
    return minus(f"{100 * share:.{digits}f}\u00a0%")


def minus(text: str) -> str:
    """Text in which a minus sign is one."""
    return text.replace("-", "−")


def points(c: Comparison) -> str:
    """A difference of shares in percentage points, as far as it goes from zero, with its interval."""
    mean, low, high = (100 * value for value in (c.difference, c.low, c.high))
    return minus(f"{abs(mean):.1f} percentage points (95\u00a0% interval of the difference {low:+.1f} to {high:+.1f})")


def lead(
    data: Dataset,
    best: Measured,
    baselines: Sequence[Measured],
    compared: Mapping[str, Comparison],
    rival: Measured,
    control: Control | None,
) -> Markup:
    """What the page shows, in a few sentences."""
    others = ", ".join(f"{row.label} {percent(row.values[RECALL].mean())}" for row in baselines if row is not best)
    said = [
        f"Of a user's held-out choices, which training did not see, {best.label} has on average "
        f"{percent(best.values[RECALL].mean())} among its first {K} of {data.num_items:,} items; {others}."
    ]
    if (c := compared.get(best.label)) is not None:
        sure = "more than chance over" if c.p_users < ALPHA else "not more than chance over"
        way = "more" if c.difference >= 0 else "less"
        said.append(
            f"That is {points(c)} {way} than {rival.label}, the stronger baseline: {sure} these {c.users:,} users "
            "explains."
        )
    lift = f"{percent(abs(best.lists.lift), 0)} {'more' if best.lists.lift > 0 else 'less'} popular"
    said.append(
        f"Its lists show {percent(best.lists.coverage, 0)} of the catalogue, and items that are {lift} than what users "
        "choose themselves."
    )
    if control is not None and (c := control.compared) is not None:
        helps = c.p_users < ALPHA and c.difference > 0
        found = f"loses {points(c)}: content says something about taste" if helps else "is not told apart, or is better"
        said.append(f"With the content of other items in place of their own, {control.row.label} {found}.")
    return element("ul", *(element("li", sentence) for sentence in said), class_="lead")


def value(mean: float, low: float, high: float, sign: str = "") -> Markup:
    """A number and under it its interval."""
    text = minus(f"{mean:{sign}.4f}")
    return joined([text, element("small", minus(f"{low:{sign}.4f} to {high:{sign}.4f}"))])


def accuracy(rows: Sequence[Measured], compared: Mapping[str, Comparison], rival: Measured, best: Measured) -> Markup:
    """The table of models, and their intervals."""
    told, capped = [], False
    for row in rows:
        over = row.record is not None and is_capped(row.record)
        capped |= over
        c = compared.get(row.label)
        difference = value(c.difference, c.low, c.high, "+") if c else ""
        cost = "" if row.record is None else f"{row.record.cost['seconds']:,.0f} s"
        means = (value(*interval(row.values[metric])) for metric in METRICS)
        told.append((row.label + CAPPED * over, *means, difference, format_p(c.p_users) if c else "", cost))
    users = len(rival.values[RECALL])
    head = ("model", f"Recall@{K}", f"NDCG@{K}", f"difference to {rival.label}", "p", "training took")
    said = [
        f"Means over {users:,} test users, with 95 % intervals over users. Each row is one training: another seed "
        "gives other numbers, and an interval over users does not say how far apart these are.",
        f"The difference is in Recall@{K}; its p is of the paired t-test over users, after Holm's correction for the "
        f"{len(compared)} differences here. {rival.label} is the baseline that is better on validation, {best.label} "
        "the best model.",
    ]
    said += [f"{CAPPED.strip()} ended at its cap of epochs while it could still improve."] if capped else []
    drawn = drawing.intervals({row.label: interval(row.values[RECALL]) for row in rows}, "accuracy", f"Recall@{K}")
    caption = f"Recall@{K} on the test, with 95 % intervals over users."
    return section(
        "accuracy", "How good it is",
        table(head, told, "Recall and NDCG on the test"),
        beside(figure(drawn, caption), *(element("p", sentence) for sentence in said)),
    )  # fmt: skip


def beyond(rows: Sequence[Measured], history: History, best: Measured) -> Markup:
    """Coverage, evenness and popularity of the lists."""
    tenth = percent(history.shares[0], 0)
    told = [(CHOSEN, "", f"{history.gini:.2f}", f"{history.popularity:,.1f}", "", tenth)]
    for row in rows:
        shown = row.lists
        told.append((
            row.label, percent(shown.coverage), f"{shown.gini:.2f}", f"{shown.popularity:,.1f}",
            minus(f"{100 * shown.lift:+.0f} %"), percent(shown.shares[0], 0),
        ))  # fmt: skip
    knn = [row for row in rows if row.model == "itemknn" and row is not best]
    drawn = drawing.popularity({CHOSEN: history.shares} | {row.label: row.lists.shares for row in [best, *knn]})
    said = (
        f"Coverage@{K} is the share of the catalogue that somebody is shown. The Gini index is 0 where all items are "
        "shown equally often, and near 1 where one takes all.",
        "Average popularity is the number of training interactions of what a user is shown, averaged over users; the "
        "popularity lift is by how much that exceeds the same of what users chose themselves. The last column is the "
        "share of all places that goes to the most popular tenth of the items.",
    )
    return section(
        "lists", "What its lists show",
        table(("lists of", f"coverage@{K}", f"Gini@{K}", "average popularity", "popularity lift", "most popular tenth"),
              told, f"The first {K} places of every user with a history"),
        beside(figure(drawn, "Where choices and recommendations go, by the popularity of the items."),
               *(element("p", sentence) for sentence in said)),
    )  # fmt: skip


def content(control: Control | None) -> Markup:
    """What the content of the items adds: the same model where items have each other's."""
    title = "What content adds"
    if control is None:
        return section("content", title, element("p", "No model here reads the content of items."))
    row, c, values = control
    if c is None or values is None:
        why = f"Not measured: {row.label} was not trained on permuted content, where each item has that of another. "
        how = ["The same command with ", element("code", "--permuted"), " trains it so, with the same settings."]
        return section("content", title, element("p", why, *how))
    both = {"own content": interval(row.values[RECALL]), "others' content": interval(values[RECALL])}
    cells = [*((name, value(*of), "") for name, of in both.items()),
             ("difference", value(c.difference, c.low, c.high, "+"), format_p(c.p_users))]  # fmt: skip
    why = (
        f"{row.label} was trained twice with the same settings: as it is, and with the content of the items shuffled "
        "among them. What the second lacks is what content says about taste; what it keeps comes from who chose what."
    )
    drawn = drawing.intervals({"own less others'": (c.difference, c.low, c.high)}, "content", f"Recall@{K}", zero=True)
    what = "What own content is worth over that of others, with its 95\u00a0% interval over users."
    caption = f"{row.label} on the content of its items, and of others"
    return section(
        "content",
        title,
        beside(figure(drawn, what), element("p", why), table(("", f"Recall@{K}", "p"), cells, caption)),
    )


def beside(drawn: Markup, *said: Markup) -> Markup:
    """A figure with text at its side, where the page is wide enough."""
    return element("div", drawn, element("div", *said), class_="beside")


def examples(users: Sequence[Markup], best: Measured) -> Markup:
    """The lists of some users, made by `example`."""
    said = (
        "Spread from the shortest history to the longest. On top is what they chose in training, below what "
        f"{best.label} shows them first; ✓ marks what they did choose and training did not see."
    )
    numbers = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
    title = f"{numbers[len(users)]} user{'s' * (len(users) != 1)}"
    return section("users", title, element("p", said), *users)


def example(name: str, known: int, held_out: int, rows: Mapping[str, Sequence[tuple[str, str | None, bool]]]) -> Markup:
    """One user: rows of items, each a title, the address of a picture or None, and whether it was held out."""
    what = f"{known:,} in training, {held_out:,} held out"
    lines = [
        element("div", element("h4", title), element("ul", *(_tile(*item) for item in items), class_="items"))
        for title, items in rows.items()
    ]
    return element("article", element("h3", name, element("span", what)), *lines, class_="user")


def _tile(title: str, picture: str | None, held_out: bool) -> Markup:
    name = element("span", joined([element("b", "✓ ", title="held out")] if held_out else []), title, class_="name")
    if picture is None:
        return element("li", name, class_="words hit" if held_out else "words")
    image = element("img", src=picture, alt=f"Picture of {title}", width=84, height=84)
    return element("li", image, name, class_="hit" if held_out else "item")
