"""The three values that everything else passes around: `Dataset`, `Batch` and `Embeddings`."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmkd_core.errors import DataError

SPLITS = ("train", "val", "test")


class DataWarning(UserWarning):
    """Data that can be used, and may not be what they seem: said by `load`, kept in `Dataset.notes`."""


class Embeddings(NamedTuple):
    """What every recommender comes down to: user u's score of item i is `users[u] @ items[i]`."""

    users: Float[Tensor, "user dim"]
    items: Float[Tensor, "item dim"]

    @property
    def device(self) -> torch.device:
        """Where both tables are."""
        return self.users.device

    def scores(self, users: Int[Tensor, " batch"]) -> Float[Tensor, "batch item"]:
        """Score of every item for each of `users`; shape (batch, num_items)."""
        return self.users[users] @ self.items.T


class Distinct(NamedTuple):
    """The distinct ids of a field of a batch in ascending order, and which of them each entry of the field is.

    Where a sampler drew them, the id 0 fills them up to the size of the epoch's largest, so that shapes do not depend
    on the data; `real` is False there.
    """

    ids: Int[Tensor, " distinct"]
    place: Int[Tensor, "*field"]
    real: Bool[Tensor, " distinct"]


class Batch(NamedTuple):
    """Training triples: in training `users[b]` interacted with `pos[b]` and with none of `neg[b]`, all int64 ids.

    `drawn` holds the distinct ids of some fields: what depends on the data is found when the epoch is drawn.
    `candidates` are distinct items that all rows share, whoever likes them, for models that ask for some.
    """

    users: Int[Tensor, " batch"]
    pos: Int[Tensor, " batch"]
    neg: Int[Tensor, "batch negatives"]
    drawn: Mapping[str, Distinct] = {}
    candidates: Int[Tensor, " candidate"] | None = None

    def distinct(self, field: str) -> Distinct:
        """The distinct ids of "users", "pos", "neg" or "lists": those drawn with the epoch, else found now."""
        if field in self.drawn:
            return self.drawn[field]
        ids, place = getattr(self, field).unique(return_inverse=True)
        return Distinct(ids, place, torch.ones_like(ids, dtype=torch.bool))

    @property
    def lists(self) -> Int[Tensor, "batch list"]:
        """Each row's positive (column 0) and its negatives."""
        return torch.cat([self.pos[:, None], self.neg], dim=1)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Interactions in three splits and the content features of the items; valid, or it is not made.

    `train`, `val` and `test` are int64 tensors of shape (edges, 2) whose rows are (user, item); they are sorted
    when the data set is made, of any integers. `features` maps a modality's name to a float32 tensor of shape
    (num_items, d_m).
    `sources` maps the name of a split or a modality to where it was read, for the messages of `DataError`, and
    `notes` are sentences on what was seen there and is not as one may think. Where users and items were renumbered,
    `user_ids` and `item_ids` hold the number that each had in the files, int64. None of these is part of the data.

    Raises `DataError` for: an id out of range, the same pair twice in a split or in two splits, a shape or dtype
    other than stated, a feature matrix without one row per item, NaN or infinity, no training interaction, more pairs
    of a user and an item than 64 bits can number. A user or an item without training interactions is legal.
    """

    name: str
    num_users: int
    num_items: int
    train: Int[Tensor, "_ 2"]
    val: Int[Tensor, "_ 2"]
    test: Int[Tensor, "_ 2"]
    features: dict[str, Float[Tensor, "item _"]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)
    user_ids: Int[Tensor, " user"] | None = field(default=None, repr=False)
    item_ids: Int[Tensor, " item"] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.num_users < 1 or self.num_items < 1:
            raise DataError(
                f"{self.name}: got {self.num_users} users and {self.num_items} items; expected at least one of each"
            )
        if self.num_users * self.num_items >= 2**63:
            raise DataError(
                f"{self.name}: got {self.num_users:,} users and {self.num_items:,} items; expected under 2^63 pairs"
            )
        keys = {split: self._checked_keys(split) for split in SPLITS}
        self._check_disjoint(keys)
        for split in SPLITS:
            own = keys.pop(split)
            edges = torch.stack([own // self.num_items, own % self.num_items], 1)
            object.__setattr__(self, split, edges)
        if len(self.train) == 0:
            raise DataError(f"{self._where('train')}: no training interaction; expected at least one (user, item) row")
        features = {modality: self._checked_features(modality, x) for modality, x in self.features.items()}
        object.__setattr__(self, "features", features)

    def _where(self, part: str) -> str:
        source = self.sources.get(part)
        return f"{self.name}, {part} ({source})" if source else f"{self.name}, {part}"

    def _checked_keys(self, split: str) -> Tensor:
        """The pairs of a split as numbers, user times num_items plus item, ascending; sorted in place."""
        edges = torch.as_tensor(getattr(self, split))
        if edges.dim() != 2 or edges.shape[1] != 2:
            raise DataError(f"{self._where(split)}: got shape {tuple(edges.shape)}; expected (edges, 2)")
        if edges.dtype.is_floating_point or edges.dtype.is_complex or edges.dtype == torch.bool:
            raise DataError(f"{self._where(split)}: got dtype {edges.dtype}; expected integer ids")
        edges = edges if edges.dtype == torch.int32 else edges.to(torch.int64)
        for column, (what, size) in enumerate((("user", self.num_users), ("item", self.num_items))):
            ids = edges[:, column]
            if len(ids) and (ids.min() < 0 or ids.max() >= size):
                row = int(((ids < 0) | (ids >= size)).nonzero()[0])
                raise DataError(
                    f"{self._where(split)}, row {row}: {what} id {int(ids[row])} is out of range; "
                    f"expected 0 to {size - 1}"
                )
        keys = self._keys(edges)
        keys.numpy().sort()  # no order of the rows: torch's sort, which gives one, takes three times the memory
        if (keys[1:] == keys[:-1]).any():
            keys, order = self._keys(edges).sort(stable=True)
            row = int(order[int((keys[1:] == keys[:-1]).nonzero()[0]) + 1])
            user, item = edges[row].tolist()
            raise DataError(
                f"{self._where(split)}, row {row}: user {user}, item {item} appears twice; expected each pair once"
            )
        return keys

    def _keys(self, edges: Tensor) -> Tensor:
        return edges[:, 0].to(torch.int64, copy=True).mul_(self.num_items).add_(edges[:, 1])

    def _check_disjoint(self, keys: Mapping[str, Tensor]) -> None:
        for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
            if not len(keys[first]) or not _among(keys[second], keys[first]).any():
                continue
            edges = torch.as_tensor(getattr(self, second))
            row = int(_among(self._keys(edges), keys[first]).nonzero()[0])
            user, item = edges[row].tolist()
            raise DataError(
                f"{self._where(second)}, row {row}: user {user}, item {item} is also in {self._where(first)}; "
                "expected each pair in one split alone"
            )

    def _checked_features(self, modality: str, x: Tensor) -> Tensor:
        x = torch.as_tensor(x)
        if x.dim() != 2 or not x.dtype.is_floating_point:
            raise DataError(
                f"{self._where(modality)}: got shape {tuple(x.shape)} of {x.dtype}; expected floats (num_items, width)"
            )
        if len(x) != self.num_items:
            raise DataError(f"{self._where(modality)}: got {len(x)} rows; expected one an item, {self.num_items}")
        if x.shape[1] == 0:
            raise DataError(f"{self._where(modality)}: got width 0; expected at least one column")
        x = x.to(torch.float32).contiguous()
        finite = x.isfinite().all(dim=1)
        if not finite.all():
            row = int((~finite).nonzero()[0])
            raise DataError(f"{self._where(modality)}, row {row}: holds NaN or infinity; expected finite numbers")
        return x

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over sizes, splits and features: two data sets with the same fingerprint give the same results."""
        digest = hashlib.sha256(f"{self.num_users} {self.num_items}".encode())
        for name, tensor in [*((s, getattr(self, s)) for s in SPLITS), *sorted(self.features.items())]:
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.numpy())
        return digest.hexdigest()


def _among(keys: Tensor, known: Tensor) -> Tensor:
    """Which of `keys` are among `known`, which are some, ascending."""
    return known[torch.searchsorted(known, keys).clamp_max_(len(known) - 1)] == keys
