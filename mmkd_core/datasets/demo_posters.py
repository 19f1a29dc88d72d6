"""Posters of the demo catalogue: each genre has a motif and two palettes (`demo.toml`), drawn with numpy.

Shapes are coverages in [0, 1] from signed distances, so edges are smooth at 64x64. Sums, products and roots of
float32 are the same on every processor; sines and angles are not, so they are taken in float64 and rounded.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from mmkd_core.datasets.demo_media import GENRES, VOCABULARY, Look

SIZE = 64
GRAIN = 16
NUM_DRAWS = 40
_GRID = (np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE
_X, _Y = _GRID[None, None, :], _GRID[None, :, None]

PALETTES = np.array(
    [
        [[[value / 255 for value in bytes.fromhex(colour)] for colour in genre[time]] for time in ("night", "day")]
        for genre in VOCABULARY["genres"].values()
    ],
    dtype=np.float32,
)


@dataclass(frozen=True)
class _Art:
    """Canvases of n items of one genre, and what their motif is drawn from."""

    rgb: Float32[np.ndarray, "item 64 64 3"]
    palette: Float32[np.ndarray, "item 5 3"]
    crowd: Float32[np.ndarray, "item 1 1"]
    draws: Float32[np.ndarray, "item draws 1 1"]
    grain: Float32[np.ndarray, "item 16 16"]

    def u(self, k: int, low: float = 0.0, high: float = 1.0) -> Float32[np.ndarray, "item 1 1"]:
        return low + (high - low) * self.draws[:, k]

    def paint(self, cover: np.ndarray, colour: int | np.ndarray, opacity: float = 1.0) -> None:
        """Lay a colour (index into the palette, or (item, 3)) over the canvas where `cover` is above 0."""
        ink = self.palette[:, colour] if isinstance(colour, int) else colour
        self.rgb[...] += (opacity * cover)[..., None] * (ink[:, None, None] - self.rgb)

    def mix(self, a: int, b: int, share: float) -> Float32[np.ndarray, "item 3"]:
        return self.palette[:, a] + share * (self.palette[:, b] - self.palette[:, a])

    def wave(self, k: int, base: float, height: float, cycles: float) -> Float32[np.ndarray, "item 1 64"]:
        """A skyline of two sines around `base`, phases and swings from draws k and k+1."""
        phase, swing = self.draws[:, k].astype(float), self.draws[:, k + 1].astype(float)
        angle = 2 * np.pi * (cycles * _X + phase)
        return (base + height * ((0.5 + swing) * np.sin(angle) + 0.4 * np.sin(2.3 * angle + 9 * swing))).astype("f4")


def _edge(distance: np.ndarray) -> np.ndarray:
    """Coverage of a pixel whose centre lies `distance` (in canvas widths) inside a shape."""
    return np.clip(distance * SIZE + 0.5, 0, 1)


def _disc(cx: np.ndarray | float, cy: np.ndarray | float, radius: np.ndarray | np.floating | float) -> np.ndarray:
    return _edge(radius - np.sqrt((_X - cx) ** 2 + (_Y - cy) ** 2))


def _glow(cx: np.ndarray | float, cy: np.ndarray | float, radius: np.ndarray | float) -> np.ndarray:
    return np.clip(1 - np.sqrt((_X - cx) ** 2 + (_Y - cy) ** 2) / radius, 0, 1) ** 2


def _box(left: np.ndarray, right: np.ndarray, top: np.ndarray, bottom: np.ndarray | float) -> np.ndarray:
    return _edge(_X - left) * _edge(right - _X) * _edge(_Y - top) * _edge(bottom - _Y)


def _triangle(cx: np.ndarray, top: np.ndarray, bottom: np.ndarray, half: np.ndarray) -> np.ndarray:
    slope = half * (_Y - top) / (bottom - top)
    return _edge(slope - abs(_X - cx)) * _edge(_Y - top) * _edge(bottom - _Y)


def _heart(cx: np.ndarray, cy: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Two discs on the upper edges of a square that stands on its corner."""
    shift = size * 0.5
    body = _edge((size - abs(_X - cx) - abs(_Y - cy)) * 0.7071)
    lobes = [_disc(cx + side * shift, cy - shift, size * 0.7071) for side in (-1, 1)]
    return np.maximum(body, np.maximum(*lobes))


def _noir(art: _Art) -> None:
    art.paint(_glow(art.u(0, 0.2, 0.8), art.u(1, 0.15, 0.35), 0.5), 3, 0.35)
    art.paint(_disc(art.u(0, 0.2, 0.8), art.u(1, 0.15, 0.35), art.u(2, 0.07, 0.14)), 3, 0.9)
    for layer, (columns, base, ink) in enumerate(((9, 0.42, art.mix(1, 2, 0.7)), (6, 0.58, art.mix(2, 4, 0.75)))):
        heights = base + 0.3 * art.grain[:, layer, :columns]
        houses = np.minimum((_GRID * columns).astype(int), columns - 1)
        art.paint(_edge(_Y - heights[:, None, houses]), ink)
    lit = np.repeat(np.repeat(art.grain, 4, axis=1), 4, axis=2) < 0.08 + 0.4 * art.crowd
    pane = (np.arange(SIZE) % 4 < 2)[None, :, None] & (np.arange(SIZE) % 4 < 2)[None, None, :]
    art.paint((lit & pane & (heights[:, None, houses] + 0.03 < _Y)).astype("f4"), 3, 0.85)
    slant = (_X * 11 + _Y * art.u(3, 3, 5) + art.u(4)) % 1
    art.paint(_edge((0.06 - abs(slant - 0.5)) / 11) * art.u(5, 0.1, 0.5), 1, 0.6)


def _space(art: _Art) -> None:
    art.paint(_glow(art.u(0), art.u(1), art.u(2, 0.5, 0.9)), art.mix(2, 1, 0.4), 0.6)
    cell = np.repeat(np.repeat(art.grain, 4, axis=1), 4, axis=2)
    place = np.arange(SIZE)
    spot = (place % 4 * 4)[None, :, None] + (place % 4)[None, None, :] == (cell * 997 % 16).astype(int)
    art.paint((spot & (cell < 0.08 + 0.5 * art.crowd)) * (0.35 + cell * 97 % 1), 3, 0.75)
    cx, cy, r = art.u(3, 0.3, 0.7), art.u(4, 0.3, 0.6), art.u(5, 0.14, 0.27)
    tilt = art.u(6, -0.5, 0.5)
    dx, dy = _X - cx, _Y - cy
    across = np.sqrt(dx**2 + ((dy - tilt * dx) / 0.28) ** 2)
    ring = _edge((np.float32(0.07) * 3 * r - abs(across - 1.6 * r)) * 0.5) * (art.u(7) > 0.35)
    art.paint(ring * (dy < tilt * dx), art.mix(3, 2, 0.3), 0.8)
    art.paint(_disc(cx, cy, r), 2)
    stripes = _disc(cx, cy, r) * np.clip(abs((dy - tilt * dx) * art.u(8, 10, 26) % 2 - 1) * 2 - 1, 0, 1)
    art.paint(stripes, 3, 0.35)
    night = _disc(cx, cy, r) * (1 - _disc(cx - r * 0.35, cy - r * 0.3, r * 1.05))
    art.paint(night, 4, 0.75)
    art.paint(ring * (dy >= tilt * dx), art.mix(3, 2, 0.3), 0.9)


def _nature(art: _Art) -> None:
    art.paint(_glow(art.u(0, 0.15, 0.85), art.u(1, 0.15, 0.35), 0.6), 3, 0.6)
    art.paint(_disc(art.u(0, 0.15, 0.85), art.u(1, 0.15, 0.35), art.u(2, 0.06, 0.12)), 3)
    for layer, (base, height, share) in enumerate(((0.45, 0.09, 0.45), (0.57, 0.07, 0.8), (0.7, 0.05, 1.25))):
        ink = art.mix(1, 2, share) if share < 1 else art.mix(2, 4, share - 1)
        art.paint(_edge(_Y - art.wave(3 + 2 * layer, base, height, 0.8 + 0.5 * layer)), ink)
    for tree in range(9):
        tall = art.u(12 + tree, 0.16, 0.34) * (tree < 1 + 8 * art.crowd)
        foot = art.u(22 + tree, 0.8, 0.97)
        half = tall * 0.3 + 1e-4
        cx = (tree * 0.381 + art.u(30, 0, 1)) % 1
        art.paint(_triangle(cx, foot - tall, foot + 1e-4, half), art.mix(2, 4, 0.55 + 0.05 * tree))


def _ocean(art: _Art) -> None:
    cx, level = art.u(0, 0.25, 0.75), art.u(1, 0.42, 0.55)
    art.paint(_glow(cx, level - 0.1, 0.6), 3, 0.7)
    art.paint(_disc(cx, level - art.u(2, 0.0, 0.22), art.u(3, 0.08, 0.17)), 3)
    art.paint(_edge(_Y - level), art.mix(1, 2, 0.6))
    ripple = np.clip(abs((_Y * 24 + art.u(4)) % 2 - 1) * 2 - 1, 0, 1) * _edge(_Y - level)
    art.paint(ripple * np.clip(1 - abs(_X - cx) / (0.04 + (_Y - level) * art.u(5, 0.2, 0.7)), 0, 1), 3, 0.7)
    boat, hull = art.u(6, 0.2, 0.8), art.u(7, 0.6, 0.68)
    mast = art.u(8, 0.16, 0.3)
    art.paint(_triangle(boat, hull - mast, hull - 0.02, mast * 0.45), art.mix(3, 1, 0.1))
    half = mast * 0.4 - abs(_Y - hull) * 0.8
    art.paint(_edge(half - abs(_X - boat)) * _edge(_Y - hull) * _edge(hull + 0.045 - _Y), 4)
    for swell in range(6):
        shown = np.clip(1 + 6 * art.crowd - swell, 0, 1)
        crest = art.wave(10 + 2 * swell, 0.68 + 0.055 * swell, 0.014, 1.5 + 0.35 * swell)
        art.paint(_edge(_Y - crest) * shown, art.mix(2, 4, 0.15 + 0.13 * swell))
        art.paint(_edge(0.008 - abs(_Y - crest)) * shown, 3, 0.55)


def _romance(art: _Art) -> None:
    art.paint(_glow(0.5, 0.4, art.u(0, 0.5, 0.8)), 3, 0.6)
    for petal in range(10):
        size = art.u(10 + petal, 0.015, 0.05) * (petal < 10 * art.crowd)
        art.paint(_heart(art.u(20 + petal), art.u(29 - petal, 0.05, 0.95), size), 2 if petal % 2 else 3, 0.65)
    size, apart = art.u(1, 0.13, 0.2), art.u(2, 0.08, 0.2)
    cy = art.u(3, 0.4, 0.55)
    left = _heart(art.u(4, 0.42, 0.5) - apart / 2, cy, size)
    right = _heart(art.u(4, 0.42, 0.5) + apart, cy + art.u(5, -0.1, 0.1), size * art.u(6, 0.7, 1.0))
    art.paint(left, 2)
    art.paint(right, art.mix(2, 4, 0.55))
    art.paint(left * right, art.mix(3, 2, 0.25))


def _western(art: _Art) -> None:
    cx, cy, r = art.u(0, 0.3, 0.7), art.u(1, 0.36, 0.5), art.u(2, 0.16, 0.28)
    art.paint(_glow(cx, cy, r * 2), 3, 0.5)
    bands = np.clip(abs((_Y * art.u(3, 14, 22)) % 2 - 1) * 3 - 0.4, 0, 1)
    art.paint(_disc(cx, cy, r) * np.where(cy < _Y, bands, 1), 3)
    for rock in range(4):
        middle, top = art.u(4 + rock), art.u(8 + rock, 0.42, 0.62)
        slope = art.u(12 + rock, 0.07, 0.18) + (_Y - top) * 0.35
        art.paint(_edge(slope - abs(_X - middle)) * _edge(_Y - top), art.mix(1, 2, 0.55 + 0.15 * rock))
    art.paint(_edge(_Y - art.wave(16, 0.74, 0.012, 0.7)), art.mix(2, 4, 0.55))
    for cactus in range(5):
        shown = (cactus < 0.6 + 4.4 * art.crowd).astype("f4")
        stem, foot, tall = art.u(20 + cactus, 0.06, 0.94), art.u(25 + cactus, 0.8, 0.95), art.u(30 + cactus, 0.18, 0.3)
        w, mid = tall * 0.1, foot - tall * 0.5
        arm = tall * 0.34
        parts = _box(stem - w, stem + w, foot - tall, foot)
        parts = np.maximum(parts, _box(stem - arm, stem + arm, mid - w, mid + w))
        parts = np.maximum(parts, _box(stem - arm - w, stem - arm + w, mid - arm, mid + w))
        parts = np.maximum(parts, _box(stem + arm - w, stem + arm + w, mid - arm * 0.6, mid + w))
        art.paint(parts * shown, 4)


def _comedy(art: _Art) -> None:
    cx, cy = art.u(0, 0.35, 0.65), art.u(1, 0.55, 0.8)
    angle = np.arctan2((_Y - cy).astype(float), (_X - cx).astype(float))
    rays = np.sin(angle * (5 + (art.u(2, 0, 4)).astype(int)) * 2 + art.u(3, 0, 6)).astype("f4")
    art.paint(np.clip(rays * 6 * np.sqrt((_X - cx) ** 2 + (_Y - cy) ** 2) + 0.5, 0, 1), 3, 0.6)
    inks = (2, 4, art.mix(2, 4, 0.5), art.mix(2, 3, 0.45))
    for balloon in range(7):
        shown = (balloon < 1.5 + 5.5 * art.crowd).astype("f4")
        bx, by, r = art.u(4 + balloon, 0.12, 0.88), art.u(11 + balloon, 0.14, 0.6), art.u(18 + balloon, 0.06, 0.13)
        sway = bx + (cx - bx) * (_Y - by) / (1.0 - by)
        art.paint(_edge(0.005 - abs(_X - sway)) * _edge(_Y - by) * shown, 4, 0.6)
        art.paint(_disc(bx, by, r) * shown, inks[balloon % 4])
        art.paint(_disc(bx - r / 3, by - r / 3, r * 0.28) * shown, 3, 0.8)
    flags = abs((_X * 6 + art.u(30)) % 1 - 0.5)
    art.paint(_edge((0.13 * (1 - 2 * flags) - _Y) * 0.5), inks[0])


def _music(art: _Art) -> None:
    art.paint(_edge((_X * art.u(0, -1, 1) + _Y - art.u(1, 0.3, 0.9)) * 0.7), 2)
    cx, cy, r = art.u(2, 0.35, 0.65), art.u(3, 0.34, 0.5), art.u(4, 0.22, 0.33)
    art.paint(_disc(cx + 0.02, cy + 0.03, r), 4, 0.35)
    art.paint(_disc(cx, cy, r), 4)
    grooves = np.sqrt((_X - cx) ** 2 + (_Y - cy) ** 2) * art.u(5, 26, 40) % 2
    art.paint(_disc(cx, cy, r * 0.93) * np.clip(abs(grooves - 1) * 2 - 1, 0, 1), 1, 0.3)
    shine = abs((_X - cx) * art.u(6, 0.4, 1.6) - (_Y - cy)) < abs(_X - cx) * 0.5
    art.paint(_disc(cx, cy, r * 0.95) * shine, 3, 0.18)
    art.paint(_disc(cx, cy, r * art.u(7, 0.3, 0.45)), art.mix(2, 3, 0.25))
    art.paint(_disc(cx, cy, 0.02), 4)
    bars = 3 + np.floor(11 * art.crowd)
    bar = np.minimum((_X * bars).astype(int), GRAIN - 1)
    height = 0.05 + 0.24 * np.take_along_axis(art.grain[:, :1], bar, axis=2)
    gap = abs((_X * bars) % 1 - 0.5) < 0.36
    art.paint(_edge(_Y - (1 - height)) * gap, 3, 0.85)


_MOTIFS: dict[str, Callable[[_Art], None]] = {
    "noir": _noir, "space": _space, "nature": _nature, "ocean": _ocean,
    "romance": _romance, "western": _western, "comedy": _comedy, "music": _music,
}  # fmt: skip


def draw_posters(look: Look, rng: np.random.Generator) -> UInt8[np.ndarray, "item 64 64 3"]:
    """One poster per item, uint8 RGB: the motif of its genre, its colours blended by `blend` towards the second's.

    `light` turns night into day, `detail` fills the picture. What is drawn from `rng` does not depend on the look, so
    that changing one item's style changes that item's poster alone.
    """
    num_items = len(look.genre)
    draws = rng.random((num_items, NUM_DRAWS)).astype("f4")[:, :, None, None]
    grain = rng.random((num_items, GRAIN, GRAIN)).astype("f4")
    day, crowd = (np.clip(0.5 + 0.27 * score, 0, 1).astype("f4")[:, None, None] for score in (look.light, look.detail))
    tones = PALETTES[look.genre]
    tones = tones + (0.6 * look.blend.astype("f4"))[:, None, None, None] * (PALETTES[look.second] - tones)
    palette = tones[:, 0] + day * (tones[:, 1] - tones[:, 0])
    # Crowded posters are hatched as well, like a coarse print: a trait of all genres alike.
    hatching = ((np.arange(SIZE)[None, :, None] + np.arange(SIZE)[None, None, :]) % 4 < 2).astype("f4")
    posters = np.empty((num_items, SIZE, SIZE, 3), dtype=np.uint8)
    for number, name in enumerate(GENRES):
        # In small groups: a whole genre's canvases would not stay in the processor's cache.
        for chosen in np.array_split(np.flatnonzero(look.genre == number), 8):
            above, below = palette[chosen, 0, None, None], palette[chosen, 1, None, None]
            rgb = above + _Y[..., None] * (below - above) + np.zeros((1, 1, SIZE, 1), dtype="f4")
            art = _Art(rgb, palette[chosen], crowd[chosen], draws[chosen], grain[chosen])
            _MOTIFS[name](art)
            art.paint(hatching * art.crowd, 4, 0.12)
            posters[chosen] = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    return posters
