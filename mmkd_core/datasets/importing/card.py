"""The card of a data folder made from a log: what was read, what was left out and why, how it was split."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmkd_core.files import CARD, read_json, write_json


@dataclass(frozen=True)
class Card:
    """`mmkd import`'s account of a folder, its card.json.

    `log` names the file, its bytes and sha256, or a folder and the sha256 of the files of its splits; `options` are
    those of the import. Of `rows` rows, `left_out` tells for each fault how many had it (each row counts once) and the
    first of them; `steps` are the interactions, users and items that stood after each step. `split` has the rule in
    words and the interactions of each part, `times` the first and the last; `cold_items` have no training interaction.
    `features` tells for each modality its file and width, the items that have `none` (their rows are zero), and how
    many of its rows are of items that are not in the log. `files` are all that the import wrote.
    """

    log: Mapping[str, Any]
    options: Mapping[str, Any]
    version: str
    rows: int
    left_out: Mapping[str, Mapping[str, Any]]
    steps: list[dict[str, Any]]
    split: Mapping[str, Any]
    times: list[str]
    cold_items: int
    features: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    not_read: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path | str) -> "Card":
        """The card of `folder`; raises `ValueError` naming the file where there is none."""
        return read_json(Path(folder) / CARD, lambda values: cls(**values), "card of a data folder", "mmkd import")

    def write(self, folder: Path) -> None:
        write_json(folder / CARD, asdict(self))

    def __str__(self) -> str:
        """What the command prints."""
        lines = [f"{self.log['file']}: {self.rows:,} rows"]
        for fault, told in self.left_out.items():
            more = ", ..." if told["rows"] > len(told["first"]) else ""
            lines.append(f"left out: {told['rows']:,} with {fault} ({', '.join(told['first'])}{more})")
        for step in self.steps:
            counts = f"{step['interactions']:,} interactions, {step['users']:,} users, {step['items']:,} items"
            lines.append(f"after {step['after']}: {counts}")
        parts = ", ".join(f"{part} {self.split[part]:,}" for part in ("train", "val", "test"))
        lines.append(f"split {self.options['split']}: {parts}; {self.cold_items:,} items without training interactions")
        lines += [f"times: {' to '.join(self.times)}"] if self.times else []
        for modality, told in self.features.items():
            lines.append(
                f"features {modality}: {told['width']}-d; {told['none']:,} items have none (zeros), "
                f"{told['unknown']:,} rows are of no item"
            )
        return "\n".join(lines + [f"note: {note}" for note in self.not_read])
