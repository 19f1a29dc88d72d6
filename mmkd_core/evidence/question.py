"""What a question of the book consists of: its cases, what they measure, what is shown, and what the paper claims."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from mmkd_core.evidence.cases import Case
from mmkd_core.evidence.measurement import Measure
from mmkd_core.evidence.paper import TEXT, told
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import Frames
from mmkd_core.evidence.verdicts import Judge

SAID, NOTES = told("claims"), told("notes")  # claims by topic and name, notes by name


@dataclass(frozen=True)
class Claim:
    """What the paper says, in our words, where it says it, the rule that judges it, its topic, and where to read on."""

    says: str
    section: str
    judge: Judge
    topic: str
    notebook: str


def claims(rules: Mapping[str, Judge]) -> dict[str, Claim]:
    """The claims of `claims.toml` that have these names, each with the rule that judges it."""
    said = {name: {**words, "topic": topic} for topic, named in SAID.items() for name, words in named.items()}
    return {
        name: Claim(judge=rule, **said[name] | {"says": said[name]["says"].format(**TEXT)})
        for name, rule in rules.items()
    }


def notes(*names: str) -> tuple[str, ...]:
    """The notes of `notes.toml` that have these names."""
    return tuple(NOTES[name] for name in names)


@dataclass(frozen=True)
class Question:
    """A table or a figure of the paper, or a question that it leaves open, under the name that `mmkd` knows it by.

    `cases(datasets, seeds, budget)` says which experiments and measurements it is made of; nothing runs there.
    `measure` is the function that measures. `frames` (by title) or `draw` show what a store holds of the cases, `notes`
    are what a reader must know, and `claims` what the paper says about it, by name.
    """

    cases: Callable[..., list[Case]]
    table: str | None = None
    figure: str | None = None
    measure: Measure | None = None
    frames: Callable[[Sequence[Case], Store], Frames] | None = None
    draw: Callable[[Sequence[Case], Store], Figure] | None = None
    notes: tuple[str, ...] = ()
    claims: Mapping[str, Claim] = field(default_factory=dict)
