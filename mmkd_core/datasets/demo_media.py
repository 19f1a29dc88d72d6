"""Captions and sounds of the demo catalogue, from the words and instruments of `demo.toml`.

As for the posters, what is drawn at random does not depend on the styles, so that changing one item's style
changes that item's caption and sound alone.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

VOCABULARY: dict[str, Any] = tomllib.loads(Path(__file__).with_name("demo.toml").read_text(encoding="utf-8"))
GENRES: tuple[str, ...] = tuple(VOCABULARY["genres"])
SAMPLE_RATE, NUM_SAMPLES = 8000, 6000
_KINDS = ("adjectives", "nouns", "roles", "things", "places")
_NUM_SLOTS, _MAX_NOTES = 10, 16


class Look(NamedTuple):
    """What the content of each item shows: two genres, the share of the second (0 to 1), and standard scores."""

    genre: Int64[np.ndarray, " item"]
    second: Int64[np.ndarray, " item"]
    blend: Float64[np.ndarray, " item"]
    light: Float64[np.ndarray, " item"]  # night to day
    detail: Float64[np.ndarray, " item"]  # empty to crowded
    era: Float64[np.ndarray, " item"]  # long ago to future
    scope: Float64[np.ndarray, " item"]  # one room to the whole world
    pace: Float64[np.ndarray, " item"]  # 2 to 16 notes per second
    tone: Float64[np.ndarray, " item"]  # low and minor to high and major


FACTORS = Look._fields[3:]


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


def write_captions(look: Look, rng: np.random.Generator) -> tuple[str, ...]:
    """One caption per item: a title and a blurb whose words come from its genre and, at the rate `blend`, its second.

    `era` and `scope` choose a phrase each.
    """
    draws = rng.random((len(look.genre), _NUM_SLOTS))
    return tuple(_caption(*shown) for shown in zip(*look[:3], look.era, look.scope, draws, strict=True))


def play_sounds(look: Look, rng: np.random.Generator) -> Float32[np.ndarray, "item sample"]:
    """One sound per item: a rising broken chord of `NUM_SAMPLES` at `SAMPLE_RATE` Hz in [-1, 1], in steps of 16 bits.

    `pace` sets the notes per second, `tone` the register and whether the scale is minor or major; the genre chooses
    one of four instruments.
    """
    num_items, pace, tone = len(look.genre), look.pace[:, None], look.tone[:, None]
    minor, major = np.array(VOCABULARY["minor"]), np.array(VOCABULARY["major"])
    notes = (rng.integers(0, len(major), (num_items, 1)) + np.arange(_MAX_NOTES)) % len(major)
    detune = rng.standard_normal((num_items, 1))
    breath = rng.standard_normal((num_items, NUM_SAMPLES))
    per_second = np.clip(2.0 ** (2.5 + 0.6 * pace), 2, 16)
    semitones = np.where(tone > 0, major[notes], minor[notes]) + 5 * tone + 0.5 * detune
    pitch = 294.0 * 2.0 ** (np.clip(semitones, -12, 24) / 12)
    of_genre = [VOCABULARY["instruments"][genre["instrument"]] for genre in VOCABULARY["genres"].values()]
    instrument = np.array(of_genre)[look.genre]
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
