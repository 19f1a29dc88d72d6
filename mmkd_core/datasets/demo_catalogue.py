"""The embedded demo data: a small streaming catalogue whose items can be looked at, generated from a seed.

Each item has a latent style: a genre with a touch of a second one, and six factors. The image shows genre, light and
detail; the text genre, era and scope; the audio pace, tone and only half of the genre: no modality says all. Users
choose by taste x style + popularity + chance, much of it chance: interactions alone say too little of most items.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from mmkd_core.data import SPLITS, Dataset
from mmkd_core.datasets.demo_cache import kept
from mmkd_core.datasets.demo_features import nuisance
from mmkd_core.datasets.demo_media import FACTORS, GENRES, SAMPLE_RATE, Look, play_sounds, write_captions
from mmkd_core.datasets.demo_posters import draw_posters
from mmkd_core.datasets.extracting.simple import audio_features, image_features, text_features
from mmkd_core.memory import check_fits
from mmkd_core.settings import NOT_NEGATIVE, SHARE

NUM_USERS, NUM_ITEMS, NUM_INTERACTIONS = 1200, 900, 20_000
MIN_HISTORY, ACTIVITY_SPREAD = 5, 1.2
# How much each part of the style moves a user's choice, in units of the Gumbel noise (standard deviation 1.28).
GENRE_TASTE, FACTOR_TASTE, POPULARITY_SPREAD = 1.8, 0.55, 0.5
# What a modality shows of a factor is the factor plus noise of this standard deviation (factors have 1).
FACTOR_NOISE = 0.2
NUISANCE_RANK = 4
_STREAMS = ("catalogue", "users", "choices", "splits", "wrong", "factors", "posters", "captions", "sounds", "nuisance")


@dataclass(frozen=True, eq=False)
class DemoTruth:
    """What the generator knows: for figures and tests, never for models.

    `style` is (num_items, styles) float64 with the column names `style_names`: first the share of each genre (rows
    sum to 1), then the factors (standard normal). `taste` is (num_users, styles) and
    `popularity` (num_items,): a user's score of an item is `taste @ style.T + popularity`, before chance.
    `genre` indexes `genre_names`. `shown` says whose style the content of each item shows.
    """

    style: Float64[np.ndarray, "item style"]
    style_names: tuple[str, ...]
    taste: Float64[np.ndarray, "user style"]
    popularity: Float64[np.ndarray, " item"]
    genre: Int64[np.ndarray, " item"]
    genre_names: tuple[str, ...]
    shown: Int64[np.ndarray, " item"]

    @property
    def wrong(self) -> Bool[np.ndarray, " item"]:
        """Masks the items whose content was drawn from the style of another item."""
        return self.shown != np.arange(len(self.shown))


@dataclass(frozen=True, eq=False)
class DemoMedia:
    """Poster, caption and sound of each item, made when they are first asked for; the features hold what models need.

    `style` is that whose content an item shows; each factor is seen through noise.
    """

    seed: int
    style: Float64[np.ndarray, "item style"]

    @cached_property
    def look(self) -> Look:
        shares, factors = np.split(self.style, [len(GENRES)], axis=1)
        order = np.argsort(-shares, axis=1, kind="stable")
        seen = factors + FACTOR_NOISE * _stream(self.seed, "factors").standard_normal(factors.shape)
        return Look(order[:, 0], order[:, 1], np.take_along_axis(shares, order, axis=1)[:, 1], *seen.T)

    @cached_property
    def posters(self) -> UInt8[np.ndarray, "item 64 64 3"]:
        return draw_posters(self.look, _stream(self.seed, "posters"))

    @cached_property
    def captions(self) -> tuple[str, ...]:
        return write_captions(self.look, _stream(self.seed, "captions"))

    @cached_property
    def sounds(self) -> Float32[np.ndarray, "item sample"]:
        return play_sounds(self.look, _stream(self.seed, "sounds"))

    def features(self) -> dict[str, Float32[np.ndarray, "item feat"]]:
        """What is extracted from the media of all items, by modality."""
        return {
            "image": image_features(self.posters),
            "text": text_features(self.captions),
            "audio": audio_features(self.sounds, SAMPLE_RATE),
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class DemoDataset(Dataset):
    """The demo data with its `media`, made when they are first asked for, and the latent `truth`."""

    media: DemoMedia
    truth: DemoTruth
    sample_rate: int = SAMPLE_RATE

    @property
    def posters(self) -> UInt8[np.ndarray, "item 64 64 3"]:
        """RGB, 0 to 255."""
        return self.media.posters

    @property
    def captions(self) -> tuple[str, ...]:
        """One per item: a title and a blurb."""
        return self.media.captions

    @property
    def sounds(self) -> Float32[np.ndarray, "item sample"]:
        """In [-1, 1], at `sample_rate` Hz."""
        return self.media.sounds

    def title(self, item: int) -> str:
        """The title of an item: its caption's first sentence."""
        return self.captions[item].split(".")[0]


def load_demo(
    *,
    seed: Annotated[int, NOT_NEGATIVE] = 0,
    noise: Annotated[float, SHARE] = 0.0,
    redundancy: Annotated[int, NOT_NEGATIVE] = 0,
) -> DemoDataset:
    """Generate the demo data: 1,200 users, 900 items, 20,000 interactions, modalities image, text and audio.

    Each user's history is split at random about 80/10/10, at least one item in each split. `noise` is the share of
    the items whose poster, caption and sound are drawn from the style of an item of another genre; `redundancy` is
    the number of columns that say nothing about the items, appended to each modality. (Both are the paper's I2.)
    Neither changes the interactions, `noise` no content of the other items, `redundancy` no other column. The items
    made wrong by a smaller `noise` are among those made wrong by a greater one. The features are kept in the user's
    cache for the next call (`demo_cache`). Raises `ValueError` for more columns than fit into memory.
    """
    check_fits("redundancy", redundancy, lambda columns: 3 * 4 * NUM_ITEMS * columns, "demo")
    style, popularity = _catalogue(_stream(seed, "catalogue"))
    taste = _tastes(_stream(seed, "users"))
    histories = _choose(taste @ style.T + popularity, _stream(seed, "choices"))
    splits = _split(histories, _stream(seed, "splits"))
    shown = _mislead(style, noise, _stream(seed, "wrong"))
    media = DemoMedia(seed, style[shown])
    features = kept({"seed": seed, "noise": noise}, media.features)
    if redundancy:
        columns = _stream(seed, "nuisance")
        features = {
            modality: np.hstack([x, nuisance(x, redundancy, NUISANCE_RANK, columns)])
            for modality, x in features.items()
        }
    return DemoDataset(
        "demo",
        NUM_USERS,
        NUM_ITEMS,
        *(torch.from_numpy(splits[split]) for split in SPLITS),
        features={modality: torch.from_numpy(x) for modality, x in features.items()},
        media=media,
        truth=DemoTruth(style, GENRES + FACTORS, taste, popularity, _main_genre(style), GENRES, shown),
    )


def _stream(seed: int, part: str) -> np.random.Generator:
    """The random numbers of one part: what it draws does not move another."""
    return np.random.default_rng((seed, _STREAMS.index(part)))


def _main_genre(style: Float64[np.ndarray, "item style"]) -> Int64[np.ndarray, " item"]:
    return style[:, : len(GENRES)].argmax(axis=1)


def _catalogue(rng: np.random.Generator) -> tuple[Float64[np.ndarray, "item style"], Float64[np.ndarray, " item"]]:
    """Styles and log-popularities of the items."""
    items = np.arange(NUM_ITEMS)
    genre = rng.integers(0, len(GENRES), NUM_ITEMS)
    second = (genre + rng.integers(1, len(GENRES), NUM_ITEMS)) % len(GENRES)
    blend = 0.45 * rng.random(NUM_ITEMS)
    shares = np.zeros((NUM_ITEMS, len(GENRES)))
    shares[items, genre], shares[items, second] = 1 - blend, blend
    factors = rng.standard_normal((NUM_ITEMS, len(FACTORS)))
    return np.hstack([shares, factors]), POPULARITY_SPREAD * rng.standard_normal(NUM_ITEMS)


def _tastes(rng: np.random.Generator) -> Float64[np.ndarray, "user style"]:
    """Each user likes or dislikes every genre to some degree and leans one way in every factor."""
    strengths = np.repeat((GENRE_TASTE, FACTOR_TASTE), (len(GENRES), len(FACTORS)))
    return strengths * rng.standard_normal((NUM_USERS, len(strengths)))


def _choose(scores: Float64[np.ndarray, "user item"], rng: np.random.Generator) -> list[Int64[np.ndarray, " history"]]:
    """The items of each user, drawn without replacement in proportion to exp(score) (the Gumbel trick)."""
    weights = np.exp(ACTIVITY_SPREAD * rng.standard_normal(NUM_USERS))
    extra = rng.multinomial(NUM_INTERACTIONS - MIN_HISTORY * NUM_USERS, weights / weights.sum())
    ranked = np.argsort(-(scores - np.log(-np.log(rng.random(scores.shape)))), axis=1)
    return [items[:length] for items, length in zip(ranked, MIN_HISTORY + extra, strict=True)]


def _split(
    histories: list[Int64[np.ndarray, " history"]], rng: np.random.Generator
) -> dict[str, Int64[np.ndarray, "edges 2"]]:
    """About a tenth of each history to val and to test (fractions settled by chance), at least one item each."""
    parts: dict[str, list[np.ndarray]] = {"train": [], "val": [], "test": []}
    for user, items in enumerate(histories):
        pairs = np.stack([np.full(len(items), user), rng.permutation(items)], axis=1)
        held = max(1, int(len(items) / 10 + rng.random()))
        for split, rows in zip(("val", "test", "train"), np.split(pairs, [held, 2 * held]), strict=True):
            parts[split].append(rows)
    return {split: np.concatenate(rows) for split, rows in parts.items()}


def _mislead(
    style: Float64[np.ndarray, "item style"], noise: float, rng: np.random.Generator
) -> Int64[np.ndarray, " item"]:
    """Whose style each item's content shows: for a share of `noise` that of an item of another genre, else its own."""
    genre, shown = _main_genre(style), np.arange(NUM_ITEMS)
    order, draws = rng.permutation(NUM_ITEMS), rng.random(NUM_ITEMS)
    for item in order[: round(noise * NUM_ITEMS)]:
        others = np.flatnonzero(genre != genre[item])
        shown[item] = others[int(draws[item] * len(others))]
    return shown
