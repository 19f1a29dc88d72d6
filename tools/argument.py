"""Draws the argument of the book, topic by topic: what the paper says, a mark per claim, what was found, and where.

The marks are the verdicts of the ledger, each a link to its row there. `make readme` writes the picture, whole for the
landing page and with some of its topics for the parts of the book. What was found is said in words that rest on some of
these verdicts, and a verdict that moves away from its words is an error.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import pandas as pd

from mmkd_core.evidence.ledger import anchor, argument_file
from mmkd_core.evidence.style import GREEN, ORANGE, VERMILION
from mmkd_core.evidence.verdicts import (
    INCONCLUSIVE,
    INCONCLUSIVE_CAPPED,
    NOT_REPRODUCED,
    NOT_RUN,
    PARTLY,
    REPRODUCED,
    UNTESTABLE,
)

CHAPTERS = "../notebooks"  # from the landing page, from a chapter, and from the picture's own folder
LEDGER = f"{CHAPTERS}/claims.html"
WIDTH, TOP, LINE, GAP = 876, 64, 20, 22
SAYS, MARKS, FOUND = 24, 306, 504  # where the columns begin
IN_A_ROW, PITCH, RADIUS = 5, 32, 12

PARTS = {  # of the book, as `_toc.yml` names them: the topics that the picture at their head has
    "The method": ("Components", "Settings", "Overfitting and mixing"),
    "The evidence": ("Accuracy", "Noise and redundancy", "Cost", "Ours: the student of long lists"),
}


@dataclass(frozen=True)
class Step:
    """A topic: what is said, what was found, and the verdicts, by claim, for which the second was written."""

    says: str
    found: str
    holds: dict[str, str]


STEPS = {
    "Accuracy": Step(
        "A small student, taught from content, beats all ten rivals on every data set.",
        "It does not: on TikTok it cannot be told from the best, on LFM-2K GRCN leads, Amazon-Beauty is undecided. But"
        " the student does keep its teacher's accuracy.",
        {"best": NOT_REPRODUCED, "margin": NOT_REPRODUCED, "student and teacher": PARTLY},
    ),
    "Components": Step(
        "The prompt and each of the distillations are needed.",
        "None is shown to be. From the same start, training by BPR alone is not told apart. On LFM-2K a frozen prompt"
        " does better than a tuned one. On TikTok it is the start that counts.",
        {
            "tuned prompt": NOT_REPRODUCED,
            **dict.fromkeys(("prompt", "pair", "list", "disentangling", "embedding", "distillation"), INCONCLUSIVE),
        },
    ),
    "Noise and redundancy": Step(
        "Prompt and re-weighting guard against content that misleads or repeats itself.",
        "On data whose noise and redundancy are known, neither is shown to be worth more where there is more of it.",
        {"noise": INCONCLUSIVE, "redundancy": INCONCLUSIVE},
    ),
    "Settings": Step(
        "Equal sizes, a deep teacher, dropout and all three weights do best.",
        "On LFM-2K a larger student, a shallow teacher and no pair-wise weight, where there was one of 1.7, do better,"
        " and dropout is worth less than 2 %. The rest is not decided.",
        {
            **dict.fromkeys(("equal d", "teacher's depth", "pair weight", "dropout"), NOT_REPRODUCED),
            **dict.fromkeys(("list weight", "prompt rate"), INCONCLUSIVE),
        },
    ),
    "Cost": Step(
        "The student is small, and cheap to train and to serve.",
        "It serves without content, and an epoch on new data takes little. But its tables are as large as its"
        " teacher's, and Eq. 3 to 10 take most of its training.",
        {"complexity": REPRODUCED, "new data, time": REPRODUCED}
        | dict.fromkeys(("compression", "serving", "cost of KL"), NOT_REPRODUCED),
    ),
    "Overfitting and mixing": Step(
        "Reducing content overfits; distillation prevents it, and the prompt mixes the modalities.",
        "The teacher overfits no more than without content, and its student less on TikTok alone. The prompt mixes the"
        " reduced features, but not what the graph makes of them.",
        {
            "reduction overfits": NOT_REPRODUCED,
            "student overfits less": PARTLY,
            "prompt mixes": REPRODUCED,
            "prompt mixes, caption": NOT_REPRODUCED,
        },
    ),
    "Ours: the student of long lists": Step(
        "Softmax teachers, a start at their best small tables and lists of a thousand: this student leads.",
        "It beats all ten on TikTok and LFM-2K; Amazon-Beauty is undecided. Content and a second teacher count on"
        " Amazon-Beauty alone.",
        {"student leads": PARTLY, "teachers with content": PARTLY, "two teachers": PARTLY},
    ),
}

RING = f'<circle r="{RADIUS - 1}" fill="#fff" stroke="{{}}" stroke-width="2"{{}}/>'
GREY, BROWN, DASHED = "#444", "#8a5a00", ' stroke-dasharray="3 3"'
DOT = f'<circle r="{RADIUS}" fill="{{}}"/>'
SIGN = '<text y="6" text-anchor="middle" font-weight="700">{}</text>'
LINES = '<path d="{}" fill="none" stroke="{}" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/>'
SHAPES = {
    REPRODUCED: DOT.format(GREEN) + LINES.format("M-5.5 .5-1.5 4.5 5.5-4", "#fff"),
    PARTLY: RING.format(BROWN, "")
    + f'<path d="M0-{RADIUS}a{RADIUS} {RADIUS} 0 0 0 0 {2 * RADIUS}z" fill="{ORANGE}" stroke="{BROWN}"/>',
    NOT_REPRODUCED: DOT.format(VERMILION) + LINES.format("M-4.5-4.5 4.5 4.5M4.5-4.5-4.5 4.5", "#fff"),
    INCONCLUSIVE: RING.format(GREY, "") + SIGN.format("?"),
    INCONCLUSIVE_CAPPED: RING.format(GREY, "") + SIGN.format("†"),
    UNTESTABLE: RING.format(GREY, DASHED) + SIGN.format("–"),
    NOT_RUN: RING.format(GREY, DASHED),
}


def unfit(ledger: pd.DataFrame) -> list[str]:
    """Claims whose verdict is not the one for which the words of their topic were written, with both."""
    verdicts = dict(zip(ledger.index, ledger["verdict"], strict=True))
    rests = [(topic, name, written) for topic, step in STEPS.items() for name, written in step.holds.items()]
    return [
        f"{topic}, {name}: got {verdicts.get(name, 'no such claim')!r}, the words are for {written!r}"
        for topic, name, written in rests
        if verdicts.get(name) != written
    ]


def pictures(ledger: pd.DataFrame) -> dict[str, str]:
    """By file name: the whole argument, "argument.svg", and that of a part, "argument-the-method.svg"; from `judged`.

    Raises `ValueError` for words that the verdicts no longer bear.
    """
    topics = ledger["topic"].unique()
    if wrong := unfit(ledger) + [f"{topic}: has no words" for topic in topics if topic not in STEPS]:
        raise ValueError(f"write the argument in tools/argument.py anew where it no longer fits: {'; '.join(wrong)}")
    parts = {argument_file(part): ledger[ledger["topic"].isin(topics)] for part, topics in PARTS.items()}
    return {name: _picture(claims) for name, claims in {"argument.svg": ledger, **parts}.items()}


def _picture(ledger: pd.DataFrame) -> str:
    topics = ledger["topic"].unique()
    body, y = [], TOP
    for topic in topics:
        part, y = _row(str(topic), ledger[ledger["topic"] == topic], y)
        body += part
    body += _legend([verdict for verdict in SHAPES if verdict in set(ledger["verdict"])], y + 8)
    height = y + 30 + PITCH * -(-ledger["verdict"].nunique() // 3)
    heads = [(SAYS, "What the paper says"), (MARKS, "A mark per claim"), (FOUND, "What was found, and where")]
    style = 'font-family="\'Source Sans 3\', \'Helvetica Neue\', Arial, sans-serif" font-size="16" fill="#1a1a1a"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="group"'
            f' aria-labelledby="argument-title" {style}>',
            ' <title id="argument-title">What the paper says, what became of each claim, what was found</title>',
            f' <rect width="{WIDTH}" height="{height}" rx="14" fill="#fff"/>',
            *(f' <text x="{x}" y="36" font-size="18" font-weight="700">{head}</text>' for x, head in heads),
            *body,
            "</svg>\n",
        ]
    )


def _row(topic: str, claims: pd.DataFrame, y: int) -> tuple[list[str], int]:
    """The parts of a topic, from `y` down, and where the next begins."""
    step = STEPS[topic]
    said = [topic.partition(":")[0], *textwrap.wrap(step.says, 30)]
    found = textwrap.wrap(step.found, 37)
    chapters = textwrap.wrap(" ".join(claims["notebook"].unique()), 37)
    rows = -(-len(claims) // IN_A_ROW)
    height = max(len(said) * LINE, (len(found) + len(chapters)) * LINE, rows * PITCH) + GAP
    parts = [f' <path d="M{SAYS} {y - 8}H{WIDTH - SAYS}" stroke="#bbb"/>']
    parts += [*_lines(said, SAYS, y + 16, bold=True), *_lines(found, FOUND, y + 16)]
    parts += _links(chapters, FOUND, y + 16 + len(found) * LINE)
    for number, (name, claim) in enumerate(claims.iterrows()):
        row, column = divmod(number, IN_A_ROW)
        told = escape(f"{claim['claim']}: {claim['verdict']}")
        parts.append(
            f' <a href="{LEDGER}#{anchor(str(name))}" aria-label="{told}">'
            f'<g transform="translate({MARKS + RADIUS + column * PITCH} {y + 14 + row * PITCH})">'
            f"<title>{told}</title>{SHAPES[claim['verdict']]}</g></a>"
        )
    return parts, y + height


def _lines(lines: list[str], x: int, y: int, *, bold: bool = False) -> Iterator[str]:
    for number, line in enumerate(lines):
        weight = ' font-weight="700"' if bold and not number else ""
        yield f' <text x="{x}" y="{y + number * LINE}"{weight}>{escape(line)}</text>'


def _links(lines: list[str], x: int, y: int) -> Iterator[str]:
    """Names of chapters, each a link to it."""
    for number, line in enumerate(lines):
        names = (f'<a href="{CHAPTERS}/{name}.html" class="chapter">{name}</a>' for name in line.split())
        yield f' <text x="{x}" y="{y + number * LINE}">{", ".join(names)}</text>'


def _legend(verdicts: list[str], y: int) -> Iterator[str]:
    yield f' <path d="M{SAYS} {y - 16}H{WIDTH - SAYS}" stroke="#bbb"/>'
    for number, verdict in enumerate(verdicts):
        x, down = SAYS + RADIUS + number % 3 * WIDTH // 3, y + 14 + number // 3 * PITCH
        yield f' <g transform="translate({x} {down})">{SHAPES[verdict]}</g>'
        yield f' <text x="{x + RADIUS + 8}" y="{down + 5}">{verdict}</text>'
