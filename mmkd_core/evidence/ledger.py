"""The claim ledger: what the paper claims, and what was found. `mmkd claims` prints it.

Each claim stands with its question and has a rule that turns records into a verdict. They were committed before the
runs that they judge, with the exceptions that the chapter on the claims lists, and no run was tuned to move one.
"""

import re
from collections.abc import Collection

import pandas as pd

from mmkd_core.evidence.effort import behind, studies
from mmkd_core.evidence.question import SAID, Claim
from mmkd_core.evidence.questions import QUESTIONS
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import markdown
from mmkd_core.evidence.verdicts import VERDICTS

OURS = "Ours"  # where a claim stands that is not the paper's
ORDER = [name for named in SAID.values() for name in named]  # what `claims.toml` does not name comes after it


def claims() -> dict[str, Claim]:
    """All claims by name, topic by topic, in the order of `claims.toml`."""
    named = {name: claim for question in QUESTIONS.values() for name, claim in question.claims.items()}
    in_order = [*dict.fromkeys([*ORDER, *named])]
    topics = [named[name].topic for name in in_order]
    return {name: named[name] for name in sorted(in_order, key=lambda name: topics.index(named[name].topic))}


def judged(store: Store, notebook: str | None = None, names: Collection[str] = ()) -> pd.DataFrame:
    """One row per claim: topic, what it says, where, the verdict, what was measured, its records and the notebook.

    What was measured is a tuple of lines, one for each data set; `behind` says what the verdict rests on. With
    `notebook`, the claims that lead to it alone, with `names` those; the others are not judged.
    """
    rows, trials = {}, studies(store)
    for name, claim in claims().items():
        if notebook in (None, claim.notebook) and (not names or name in names):
            finding = claim.judge(store)
            rows[name] = {
                "topic": claim.topic, "claim": claim.says, "where": claim.section, "verdict": finding.verdict,
                "measured": finding.lines, "records": finding.records, "behind": behind(store, finding.records, trials),
                "notebook": claim.notebook,
            }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def of_chapter(store: Store, notebook: str) -> pd.DataFrame:
    """The claims that a chapter is about, for its own table: where, verdict and what was measured, by claim."""
    return _with_line_breaks(judged(store, notebook)).set_index("claim")[["where", "verdict", "measured"]]


def _with_line_breaks(ledger: pd.DataFrame) -> pd.DataFrame:
    """The ledger with the lines of what was measured broken as Markdown has them."""
    return ledger.assign(measured=ledger["measured"].map("<br>".join))


def page(ledger: pd.DataFrame) -> str:
    """The ledger as Markdown: a table per topic, each claim with its place, its verdict and what was measured.

    The last column leads to the chapter that reads on and, where there is something to run, to a copy of
    `notebooks/challenge` for this claim, which the site has.
    """
    links = [
        f"[read]({row['notebook']}.ipynb)"
        + f'<br><a href="../{challenge_file(str(name))}" download>challenge</a>' * bool(len(row["records"]))
        for name, row in ledger.iterrows()
    ]
    marks = [f'<span id="{anchor(str(name))}"></span>' for name in ledger.index]
    told = _with_line_breaks(ledger).set_index(marks + ledger["claim"] + " (" + ledger["where"] + ")")
    told = told.rename_axis("claim")
    told["measured"] += "<br>" + told["behind"] + "."
    told = told.assign(verdict="**" + told["verdict"] + "**", read=links)
    topics = told.rename(columns={"read": ""}).groupby("topic", sort=False)
    return "\n\n".join(f"### {topic}\n\n{markdown(rows[['verdict', 'measured', '']])}" for topic, rows in topics)


def anchor(name: str) -> str:
    """Where the page of the ledger has a claim: "claim-d-saturates"."""
    return f"claim-{_slug(name)}"


def challenge_file(name: str) -> str:
    """Where the site has the notebook that challenges a claim: "colab/challenge-d-saturates.ipynb"."""
    return f"colab/challenge-{_slug(name)}.ipynb"


def argument_file(part: str) -> str:
    """Where `book/_static` has the picture that heads a part of the book: "argument-the-method.svg"."""
    return f"argument-{_slug(part)}.svg"


def _slug(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def summary(ledger: pd.DataFrame) -> str:
    """How many claims came out how, in words: those of the paper, then this book's own."""
    ours = ledger["where"] == OURS
    papers, own = ledger[~ours], ledger[ours]
    claims = "claim" if len(papers) == 1 else "claims"
    told = {f"{claims} of the paper": papers, "of our own": own}
    return "; ".join(f"{len(rows)} {whose}: {_counted(rows)}" for whose, rows in told.items() if len(rows))


def _counted(ledger: pd.DataFrame) -> str:
    counts = ledger["verdict"].value_counts()
    return ", ".join(f"{counts[v]} {v}" for v in VERDICTS if v in counts)
