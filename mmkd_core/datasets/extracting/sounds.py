"""Sounds of strangers as mono samples at one rate: WAV by SciPy, other formats by soundfile where it is installed."""

import io
import warnings
from math import gcd

import numpy as np
from jaxtyping import Float32

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".opus")
RATE = 16_000
LONGEST = 120  # seconds that are heard of a sound
RATES = (1_000, 192_000)


def sound(content: bytes, least: int) -> Float32[np.ndarray, " sample"]:
    """What the bytes of a file hold, in [-1, 1], at `RATE`, channels averaged, of a long one its first `LONGEST` s.

    One shorter than `least` samples is filled up with silence. Raises `ValueError` for one without samples, with NaN or
    infinity, or a rate outside `RATES`, and whatever the readers raise for bytes that are no sound.
    """
    rate, samples = _wav(content) if content[:4] in (b"RIFF", b"RIFX", b"RF64") else _other(content)
    samples = samples[: LONGEST * _checked(rate)]
    if not samples.size:
        raise ValueError("no samples")
    mono = samples.reshape(len(samples), -1).mean(axis=1, dtype=np.float64)
    if not np.isfinite(mono).all():
        raise ValueError("NaN or infinity among the samples")
    if samples.dtype.kind in "iu":
        half = 2.0 ** (8 * samples.dtype.itemsize - 1)
        mono = mono / half - (samples.dtype.kind == "u")  # without a sign, silence is in the middle
    if rate != RATE:
        from scipy.signal import resample_poly

        shared = gcd(rate, RATE)
        mono = resample_poly(mono, RATE // shared, rate // shared)
    return np.pad(mono, (0, max(0, least - len(mono)))).astype(np.float32)


def _checked(rate: int) -> int:
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"{rate:,} samples per second; expected {RATES[0]:,} to {RATES[1]:,}")
    return rate


def _wav(content: bytes) -> tuple[int, np.ndarray]:
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of chunks that are none of sound
        return wavfile.read(io.BytesIO(content))


def _other(content: bytes) -> tuple[int, np.ndarray]:
    try:
        import soundfile  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ValueError("no WAV; other formats need soundfile: pip install 'mmkd-book[sounds]'") from None
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        return file.samplerate, file.read(LONGEST * _checked(file.samplerate), dtype="float32")
