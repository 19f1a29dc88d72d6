"""Captions and sounds of the demo catalogue. All titles, words and phrases are made up for it.

As for the posters, what is drawn at random does not depend on the styles, so that changing one item's style
changes that item's caption and sound alone.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int64

SAMPLE_RATE = 8000
NUM_SAMPLES = 6000

# Per genre, in the order of `demo.GENRES`: adjectives, nouns of titles, roles, objects, places. The order within a
# line matters: adjectives and places lean with the scope of the film, the others with its era.
_WORDS = (
    (
        "crooked smoky silent midnight velvet shadowed",
        "Alibi Ledger Informant Gaslight Verdict Fedora",
        "detective widow gambler reporter inspector forger",
        "briefcase revolver photograph confession safe necklace",
        "alley precinct nightclub dockyard courthouse backroom",
    ),
    (
        "distant orbital frozen starlit weightless drifting",
        "Nebula Comet Signal Perihelion Colony Airlock",
        "astronaut navigator android botanist commander engineer",
        "beacon reactor transmission telescope probe starmap",
        "station moonbase asteroid observatory spaceship crater",
    ),
    (
        "wild mossy rustling hidden rooted evergreen",
        "Fern Thicket Heron Meadow Antler Bramble",
        "ranger beekeeper shepherd forester hermit botanist",
        "fox seedling nest honeycomb footprint acorn",
        "valley woodland glade mountainside orchard marsh",
    ),
    (
        "salty sunken tidal windward stormy drifting",
        "Harbour Lighthouse Current Coral Anchor Pelican",
        "sailor diver captain fisherman smuggler navigator",
        "pearl compass wreck net figurehead chart",
        "reef lagoon trawler island jetty strait",
    ),
    (
        "tender blushing hidden unsent velvet faithful",
        "Letter Blossom Waltz Promise Rosebud Keepsake",
        "florist dancer baker poet widow pianist",
        "bouquet diary ring postcard valentine ribbon",
        "cafe balcony ballroom garden bookshop terrace",
    ),
    (
        "dusty crooked blazing lonesome sunbaked restless",
        "Stagecoach Canyon Sheriff Tumbleweed Spur Lasso",
        "cowboy outlaw rancher prospector deputy gambler",
        "saddle horseshoe nugget bounty mustang revolver",
        "saloon prairie desert homestead goldmine mesa",
    ),
    (
        "hapless giggling upside-down clumsy blushing absurd",
        "Pancake Mishap Wig Trombone Mix-up Balloon",
        "clown waiter magician baker mascot neighbour",
        "custard kazoo unicycle costume parrot lottery",
        "circus bakery wedding pizzeria funfair office",
    ),
    (
        "electric smoky restless rhythmic offbeat golden",
        "Encore Melody Chorus Backbeat Serenade Vinyl",
        "drummer pianist singer bassist conductor deejay",
        "trumpet turntable guitar jukebox microphone songbook",
        "nightclub studio festival theatre rooftop bandstand",
    ),
)
WORDS = tuple(tuple(tuple(line.split()) for line in lines) for lines in _WORDS)

# Steps of the factors, each said in one of two ways that share their telling words.
_ERAS = (
    ("In an age of kings and candles.", "Long ago, when kings ruled by candles."),
    ("A tale of steam trains and telegrams.", "When steam was young and telegrams were slow."),
    ("Radio and ragtime, between the wars.", "Between the wars, to the sound of ragtime."),
    ("A summer of cassettes and payphones.", "When cassettes were new and payphones rang."),
    ("Tomorrow, among machines.", "In a tomorrow that is run by machines."),
)
_SCOPES = (
    ("A chamber piece for two in a single room.", "Two people in a single room."),
    ("One family, one weekend.", "A family tale of one weekend."),
    ("The whole town takes sides.", "Soon the whole town is talking."),
    ("Armies march across the world.", "The world is at stake, and armies gather."),
)
_DEEDS = ("looks for", "loses", "guards", "steals", "dreams of", "cannot forget", "inherits", "hides")
_TITLES = ("The {adjective} {noun}", "{adjective} {noun}", "{noun} at the {place}", "The {role} and the {noun}")
_NUM_SLOTS = 10


def _pick(options: tuple, u: float) -> str:
    return options[int(u * len(options))]


def _level(score: float, levels: int) -> int:
    """Standard score -> one of `levels` steps of about equal use."""
    return min(max(int((score + 1.5) / 3.0 * levels), 0), levels - 1)


def _caption(genre: int, second: int, blend: float, era: float, scope: float, u: Float64[np.ndarray, " slot"]) -> str:
    # A slot takes its word from the second genre with probability `blend`; the fractions of the draws decide.
    source = [WORDS[second if v < blend else genre] for v in u[:5] * 97 % 1]
    leaning = (scope, era, era, era, scope)
    adjective, noun, role, thing, place = (
        source[k][k][_level(leaning[k] + 2 * u[k] - 1, len(source[k][k]))] for k in range(5)
    )
    title = _pick(_TITLES, u[5]).format(adjective=adjective, noun=noun, place=place, role=role).title()
    described = source[0][0][_level(scope + 2 * u[9] - 1, len(source[0][0]))]
    article = "An" if described[0] in "aeiou" else "A"
    return (
        f"{title}. {article} {described} {role} {_pick(_DEEDS, u[6])} the {thing} of the {place}. "
        f"{_pick(_SCOPES[_level(scope, len(_SCOPES))], u[7])} {_pick(_ERAS[_level(era, len(_ERAS))], u[8])}"
    )


def write_captions(
    genre: Int64[np.ndarray, " item"],
    second: Int64[np.ndarray, " item"],
    blend: Float64[np.ndarray, " item"],
    era: Float64[np.ndarray, " item"],
    scope: Float64[np.ndarray, " item"],
    rng: np.random.Generator,
) -> tuple[str, ...]:
    """One caption an item: a title and a blurb whose words come from `genre` and, at the rate `blend`, `second`.

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
_INSTRUMENT_OF_GENRE = np.array([0, 1, 2, 2, 0, 3, 3, 1])
_MINOR, _MAJOR = np.array([0, 3, 5, 7, 10, 12]), np.array([0, 2, 4, 7, 9, 12])
_MAX_NOTES = 16


def play_sounds(
    genre: Int64[np.ndarray, " item"],
    pace: Float64[np.ndarray, " item"],
    tone: Float64[np.ndarray, " item"],
    rng: np.random.Generator,
) -> Float32[np.ndarray, "item sample"]:
    """One sound an item: a rising broken chord of `NUM_SAMPLES` at `SAMPLE_RATE` Hz in [-1, 1], in steps of 16 bits.

    `pace` sets the notes a second (2 to 16), `tone` the register and whether the scale is minor or major (standard
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
