"""The card of features that were made here: `features.json` beside them, an entry for each modality."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmkd_core.files import read_json, write_json

FEATURES_CARD = "features.json"


@dataclass(frozen=True)
class Made:
    """What is told of one modality: its file with the sha256, `width` numbers for each of `items` items.

    `extractor`, `version`, `weights` and their `sum` say what made it, `source` the folder or table that was read (its
    name), `device` and `libraries` on what, `date` when. `found` items have a row; `without` have no medium, `broken`
    one that gave nothing, and the rows of both are zero. `unknown` media are of no item, `again` are further ones of an
    item. `computed` rows were not kept from an earlier run.
    """

    modality: str
    kind: str
    file: str
    sha256: str
    width: int
    items: int
    extractor: str
    version: int
    weights: str | None
    sum: str | None
    source: str
    found: int
    without: int
    broken: int
    unknown: int
    again: int
    computed: int
    device: str | None
    libraries: Mapping[str, str]
    date: str

    def __str__(self) -> str:
        """What the command prints."""
        by = f"{self.extractor}{f' ({self.weights})' if self.weights else ''}, {self.width}-d"
        more = [
            f"{self.unknown:,} in {self.source} are of no item" if self.unknown else "",
            f"{self.again:,} are of an item that has one" if self.again else "",
        ]
        had = f"{self.found:,} of {self.items:,} items, {self.computed:,} computed now"
        return f"{self.modality}: {by}: {had}{''.join(f'; {text}' for text in more if text)}"


def read_card(folder: Path) -> dict[str, Made]:
    """The entries by modality, none where there is no card. Raises `ValueError` naming a file that is none."""
    path = folder / FEATURES_CARD
    if not path.exists():
        return {}

    def made(values: Any) -> dict[str, Made]:
        return {modality: Made(**own) for modality, own in values["features"].items()}

    return read_json(path, made, "card of features", "mmkd features")


def write_card(folder: Path, made: Mapping[str, Made]) -> None:
    """Writes the entries, whole or not at all."""
    write_json(folder / FEATURES_CARD, {"features": {name: asdict(made[name]) for name in sorted(made)}})
