"""Captions and sounds of the demo catalogue, from the words and instruments of `demo.toml`.

As for the posters, what is drawn at random does not depend on the styles, so that changing one item's style
changes that item's caption and sound alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64

from mmkd_core.datasets.demo_vocabulary import GENRES, VOCABULARY

SAMPLE_RATE = 8000
NUM_SAMPLES = 6000

_KINDS = ("adjectives", "nouns", "roles", "things", "places")
_NUM_SLOTS = 10


def _pick(options: Sequence[str], u: float) -> str:
    return options[int(u * len(options))]


def _step(options: Sequence[Any], score: float) -> Any:
    """The option that a standard score chooses; each is chosen about as often."""
    return options[min(max(int((score + 1.5) / 3.0 * len(options)), 0), len(options) - 1)]


def _caption(genre: int, second: int, blend: float, era: float, scope: float, u: Float64[np.ndarray, " slot"]) -> str:
    # A slot takes its word from the second genre with probability `blend`; the fractions of the draws decide.
    genres = [VOCABULARY["genres"][GENRES[second if v < blend else genre]] for v in u[:5] * 97 % 1]
    words = [source[kind] for source, kind in zip(genres, _KINDS, strict=True)]
    leaning = (scope, era, era, era, scope)
    adjective, noun, role, thing, place = (_step(words[k], leaning[k] + 2 * u[k] - 1) for k in range(5))
    title = _pick(VOCABULARY["titles"], u[5]).format(adjective=adjective, noun=noun, place=place, role=role).title()
    described = _step(words[0], scope + 2 * u[9] - 1)
    article = "An" if described[0] in "aeiou" else "A"
    return (
        f"{title}. {article} {described} {role} {_pick(VOCABULARY['deeds'], u[6])} the {thing} of the {place}. "
        f"{_pick(_step(VOCABULARY['scopes'], scope), u[7])} {_pick(_step(VOCABULARY['eras'], era), u[8])}"
    )


def write_captions(
    genre: Int64[np.ndarray, " item"],
    second: Int64[np.ndarray, " item"],
    blend: Float64[np.ndarray, " item"],
    era: Float64[np.ndarray, " item"],
    scope: Float64[np.ndarray, " item"],
    rng: np.random.Generator,
) -> tuple[str, ...]:
    """One caption per item: a title and a blurb whose words come from `genre` and, at the rate `blend`, `second`.

    `era` (long ago to future) and `scope` (one room to the whole world) are standard scores; each chooses a phrase.
    """
    draws = rng.random((len(genre), _NUM_SLOTS))
    return tuple(
        _caption(*styled, u=u)
        for *styled, u in zip(genre.tolist(), second.tolist(), blend.tolist(), era, scope, draws, strict=True)
    )


# Strengths of the first four harmonics, decay of a note (1/s) and share of breath. Four instruments serve eight
# genres: a sound alone cannot tell noir from romance, so audio says little about genre and more about pace and tone.
_INSTRUMENTS = np.array(
    [
        [1.0, 0.5, 0.1, 0.0, 5.0, 0.05],
        [1.0, 0.1, 0.6, 0.4, 9.0, 0.02],
        [1.0, 0.0, 0.3, 0.0, 3.0, 0.20],
        [0.7, 0.7, 0.5, 0.5, 14.0, 0.10],
    ]
)
_INSTRUMENT_OF_GENRE = np.array([genre["instrument"] for genre in VOCABULARY["genres"].values()])
_MINOR, _MAJOR = np.array([0, 3, 5, 7, 10, 12]), np.array([0, 2, 4, 7, 9, 12])
_MAX_NOTES = 16


def play_sounds(
    genre: Int64[np.ndarray, " item"],
    pace: Float64[np.ndarray, " item"],
    tone: Float64[np.ndarray, " item"],
    rng: np.random.Generator,
) -> Float32[np.ndarray, "item sample"]:
    """One sound per item: a rising broken chord of `NUM_SAMPLES` at `SAMPLE_RATE` Hz in [-1, 1], in steps of 16 bits.

    `pace` sets the notes per second (2 to 16), `tone` the register and whether the scale is minor or major (standard
    scores); `genre` chooses one of four instruments.
    """
    num_items = len(genre)
    notes = (rng.integers(0, len(_MAJOR), (num_items, 1)) + np.arange(_MAX_NOTES)) % len(_MAJOR)
    detune = rng.standard_normal((num_items, 1))
    breath = rng.standard_normal((num_items, NUM_SAMPLES))
    per_second = np.clip(2.0 ** (2.5 + 0.6 * pace), 2, 16)[:, None]
    semitones = np.where(tone[:, None] > 0, _MAJOR[notes], _MINOR[notes]) + 5 * tone[:, None] + 0.5 * detune
    pitch = 294.0 * 2.0 ** (np.clip(semitones, -12, 24) / 12)
    instrument = _INSTRUMENTS[_INSTRUMENT_OF_GENRE[genre]]
    sounds = np.empty((num_items, NUM_SAMPLES), dtype=np.float32)
    # In small groups: waves of all items at once would not stay in the processor's cache.
    for some in np.array_split(np.arange(num_items), max(1, num_items // 16)):
        sounds[some] = _tunes(instrument[some], per_second[some], pitch[some], breath[some])
    return sounds


def _tunes(
    instrument: Float64[np.ndarray, "item 6"],
    per_second: Float64[np.ndarray, "item 1"],
    pitch: Float64[np.ndarray, "item note"],
    breath: Float64[np.ndarray, "item sample"],
) -> Float64[np.ndarray, "item sample"]:
    beat = np.arange(NUM_SAMPLES) / SAMPLE_RATE * per_second
    note = beat.astype(np.intp)
    since = (beat - note) / per_second
    angle = 2 * np.pi * np.take_along_axis(pitch, note, axis=1) * since
    # sin((h+1)a) = 2 cos(a) sin(ha) - sin((h-1)a): one sine and one cosine for all harmonics.
    before, now, twice_cos = np.zeros_like(angle), np.sin(angle), 2 * np.cos(angle)
    wave = instrument[:, 5, None] * breath
    for harmonic in range(4):
        wave += instrument[:, harmonic, None] * now
        before, now = now, twice_cos * now - before
    wave *= np.exp(-instrument[:, 4, None] * since) * np.minimum(since * 200, 1)
    wave *= 0.9 / np.abs(wave).max(axis=1, keepdims=True)
    return np.rint(wave * 32767) / 32767
