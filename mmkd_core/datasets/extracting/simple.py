"""Features that need nothing but NumPy and scikit-learn, of pictures, texts and sounds; the demo has these as well.

Everything is computed in float64 and rounded to `DECIMALS` before it becomes float32, so that the last bits, in
which processors and numbers of threads differ, do not reach the features or the data set's fingerprint.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64, UInt8

DECIMALS = 5
CELL, ORIENTATIONS, LEVELS = 16, 9, 8
TEXT_WIDTH = 64
WINDOW, MELS = 0.032, 40  # seconds that are transformed at once, half of them anew; bands


def settled(x: Float64[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """Rounded, as float32."""
    return np.round(x, DECIMALS).astype(np.float32)


def _gradients(posters: UInt8[np.ndarray, "item y x 3"]) -> Float64[np.ndarray, "item cells"]:
    """Histograms of 9 unsigned orientations in cells of 16x16 pixels, as roots of the mean strength of the edges.

    Not scaled by the strength of the neighbourhood as photographs need: drawings have no lighting to remove, and
    how much there is to see is a part of the style.
    """
    num_items, height, width, _ = posters.shape
    shape = (num_items, height // CELL, width // CELL, ORIENTATIONS)
    histogram = np.zeros(np.prod(shape))
    grey = posters.astype(np.int32) @ np.array([299, 587, 114], dtype=np.int32)
    padded = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    right = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    # Most pixels of a drawing are flat: work on the edges alone.
    item, y, x = np.nonzero((down != 0) | (right != 0))
    down, right = down[item, y, x].astype(float), right[item, y, x].astype(float)
    strength = np.sqrt(down**2 + right**2) / (255_000 * CELL**2)
    turn = np.arctan2(down, right) / np.pi % 1 * ORIENTATIONS
    lower = np.floor(turn)
    for orientation, share in ((lower, 1 - (turn - lower)), (lower + 1, turn - lower)):
        bins = np.ravel_multi_index((item, y // CELL, x // CELL, orientation.astype(int) % ORIENTATIONS), shape)
        histogram += np.bincount(bins, strength * share, len(histogram))
    return np.sqrt(histogram).reshape(num_items, -1)


def _colours(posters: UInt8[np.ndarray, "item y x 3"]) -> Float64[np.ndarray, "item levels"]:
    """Roots of the shares of 8 levels of red, green and blue in cells of 16x16 pixels (roots: small details count)."""
    num_items, height, width, channels = posters.shape
    rows, columns = height // CELL, width // CELL
    bins = num_items * rows * columns * channels * LEVELS
    # What is counted: (item, row, column, channel, level), from the pixel's place and value.
    cell = np.arange(rows)[:, None].repeat(CELL, 0) * columns + np.arange(columns).repeat(CELL)
    within = (cell[..., None] * channels + np.arange(channels)) * LEVELS
    first = np.arange(0, bins, bins // num_items)[:, None, None, None]
    counts = np.bincount((first + within + posters // (256 // LEVELS)).reshape(-1), minlength=bins)
    return np.sqrt(counts / CELL**2).reshape(num_items, -1)


def image_features(posters: UInt8[np.ndarray, "item y x 3"]) -> Float32[np.ndarray, "item feat"]:
    """Oriented gradients (144 columns for 64x64 pixels) and colours (384); each row comes from its poster alone."""
    return settled(np.concatenate([_gradients(posters), _colours(posters)], axis=1))


def text_features(texts: Sequence[str], width: int = TEXT_WIDTH) -> Float32[np.ndarray, "item feat"]:
    """TF-IDF of words used in at least two texts, reduced to `width` columns by a truncated SVD where they are more.

    The vocabulary and the projection are fitted on all texts: changing one moves every row a little. Raises
    `ValueError` where no word is in two texts.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    weights = TfidfVectorizer(min_df=min(2, len(texts)), sublinear_tf=True).fit_transform(texts)
    if min(weights.shape) <= width:
        return settled(weights.toarray().astype(np.float64))
    return settled(TruncatedSVD(width, algorithm="arpack", random_state=0).fit_transform(weights))


def _mel_filters(sample_rate: int, frame: int) -> Float64[np.ndarray, "mel bin"]:
    """Triangles of equal width on the mel scale, from 60 Hz to half the sample rate."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (60, sample_rate / 2))
    edges = 700 * (10 ** (np.linspace(low, high, MELS + 2) / 2595) - 1)
    frequency = np.fft.rfftfreq(frame, 1 / sample_rate)
    rising = (frequency - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequency) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.clip(np.minimum(rising, falling), 0, None)
    # The lowest bands are narrower than a bin of the transform: they take the bin nearest to their centre.
    nearest = np.abs(frequency - edges[1:-1, None]).argmin(axis=1)
    narrow = np.flatnonzero(triangles.sum(axis=1) < 0.5)
    triangles[narrow, nearest[narrow]] = 1
    return triangles


def audio_features(sounds: Float32[np.ndarray, "item sample"], sample_rate: int) -> Float32[np.ndarray, "item feat"]:
    """Mean and standard deviation over time of `MELS` log-mel bands; each row from its sound alone."""
    frame = frame_of(sample_rate)
    frames = np.lib.stride_tricks.sliding_window_view(sounds, frame, axis=1)[:, :: frame // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(frame), axis=2)) ** 2
    mel = power.reshape(-1, power.shape[2]) @ _mel_filters(sample_rate, frame).T
    log_mel = np.log10(mel + 1e-4).reshape(len(sounds), -1, MELS)
    return settled(np.concatenate([log_mel.mean(axis=1), log_mel.std(axis=1)], axis=1))


def frame_of(sample_rate: int) -> int:
    """The samples that are transformed at once."""
    return round(WINDOW * sample_rate)
