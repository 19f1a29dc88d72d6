"""Pictures and sounds of strangers: every mode, size and turn is read, and what cannot be is an error that says why."""

import io
import struct
import zlib

import numpy as np
import pytest
from gallery import drawn, pixels, saved, wav
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmkd_core.datasets.extracting import pictures, simple, sounds

pytestmark = pytest.mark.usefixtures("unchecked")
RED = np.array([255, 0, 0])


def colour(content):
    """The mean colour of what is seen."""
    return pictures.squeezed(content, 16).reshape(-1, 3).mean(axis=0)


def plain(mode, value, size=(40, 30)):
    return Image.new(mode, size, value)


def of_16_bits(kind):
    return saved(Image.fromarray(np.full((20, 20), 65535 // 2, np.uint16)), kind)


def floats():
    return saved(Image.fromarray(np.linspace(-1, 3, 400, dtype=np.float32).reshape(20, 20)), "TIFF")


SEEN = {
    "RGB": (saved(plain("RGB", "red"), "PNG"), RED),
    "JPEG": (saved(plain("RGB", "red"), "JPEG"), RED),
    "CMYK": (saved(plain("CMYK", (0, 255, 255, 0)), "JPEG"), RED),
    "grey": (saved(plain("L", 100), "PNG"), 100),
    "black and white": (saved(plain("1", 1), "PNG"), 255),
    "a palette": (saved(plain("RGB", "red").quantize(4), "PNG"), RED),
    "a transparent palette": (saved(plain("P", 0), "GIF", transparency=0), 255),
    "half transparent": (saved(plain("RGBA", (255, 0, 0, 128)), "PNG"), [255, 127, 127]),
    "transparent grey": (saved(plain("LA", (0, 0)), "PNG"), 255),
    "16 bits": (of_16_bits("PNG"), 127),
    "16 bits in a TIFF": (of_16_bits("TIFF"), 127),
    "floats": (floats(), 127),
    "WebP": (saved(plain("RGB", "red"), "WEBP", lossless=True), RED),
    "an animation": (
        saved(plain("RGB", "red"), "GIF", save_all=True, append_images=[plain("RGB", "blue")] * 3), RED
    ),
    "one pixel": (saved(plain("RGB", "red", (1, 1)), "BMP"), RED),
    "a line": (saved(plain("RGB", "red", (3000, 1)), "PNG"), RED),
}  # fmt: skip


@pytest.mark.parametrize("kind", SEEN)
def test_modes(kind):
    content, expected = SEEN[kind]
    np.testing.assert_allclose(colour(content), np.broadcast_to(expected, 3), atol=3)


@pytest.mark.parametrize(("turn", "corner"), [(1, (0, 0)), (2, (0, 1)), (3, (1, 1)), (4, (1, 0)), (5, (0, 0)),
                                              (6, (0, 1)), (7, (1, 1)), (8, (1, 0))])  # fmt: skip
def test_a_picture_is_seen_upright(turn, corner):
    array = np.zeros((64, 64, 3), np.uint8)
    array[:32, :32] = 255  # as it is stored: white above on the left
    exif = Image.Exif()
    exif[0x0112] = turn
    seen = pictures.squeezed(saved(Image.fromarray(array), "JPEG", exif=exif, quality=95), 64)
    quarters = seen.reshape(2, 32, 2, 32, 3).mean(axis=(1, 3, 4))
    assert np.unravel_index(quarters.argmax(), (2, 2)) == corner


def test_exif_that_is_none_says_nothing():
    content = saved(plain("RGB", "red"), "JPEG", exif=b"Exif\x00\x00" + b"\xff" * 40)
    np.testing.assert_allclose(colour(content), RED, atol=3)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width, height):
    """A PNG that says it is large, of a few bytes."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


BROKEN = {
    "a bomb": (bomb(20_000, 20_000), "pixels"),
    "a smaller bomb": (bomb(10_000, 10_000), "10,000 × 10,000 pixels; expected at most 89,478,485"),
    "cut": (drawn(1)[:2000], "truncated"),
    "a cut JPEG": (drawn(1, "JPEG")[:-300], "truncated"),
    "empty": (b"", "cannot identify"),
    "a text": (b"<html>404</html>", "cannot identify"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot identify"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot identify"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_picture(kind):
    content, says = BROKEN[kind]
    with pytest.raises(Exception, match=says):
        pictures.squeezed(content, 16)


@given(st.data())
def test_a_picture_with_changed_bytes_is_read_or_refused(data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"]))
    content = bytearray(saved(Image.fromarray(pixels(0, 24)), kind))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        seen = pictures.squeezed(bytes(content), 16)
    except MemoryError:
        raise
    except Exception:
        return
    assert seen.shape == (16, 16, 3)


def test_a_strip_is_cut_before_a_network_makes_it_large():
    assert pictures.shrunk(saved(plain("RGB", "red", (60_000, 3)), "PNG")).size == (4, 1)
    assert pictures.shrunk(drawn(0)).size == (64, 64)
    assert pictures.shrunk(saved(plain("RGB", "red", (3000, 1500)), "JPEG")).size == (1024, 512)


# --- sounds ---

WAVE = np.sin(np.arange(8000) / 5)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_samples_of_every_kind_are_the_same_sound(kind):
    array = {
        "u": lambda: np.rint(WAVE * 127 + 128), "i": lambda: np.rint(WAVE * np.iinfo(kind).max), "f": lambda: WAVE
    }[np.dtype(kind).kind]()  # fmt: skip
    heard = sounds.sound(wav(array.astype(kind)), 10)
    np.testing.assert_allclose(heard, WAVE, atol=0.02)
    stereo = np.stack([array, array], axis=1).astype(kind)
    np.testing.assert_allclose(sounds.sound(wav(stereo), 10), WAVE, atol=0.02)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_the_same_sound(rate):
    seconds = np.arange(rate) / rate
    tone = np.sin(2 * np.pi * 440 * seconds).astype(np.float32)
    heard = sounds.sound(wav(tone, rate), 10)
    expected = np.sin(2 * np.pi * 440 * np.arange(sounds.RATE) / sounds.RATE)
    assert len(heard) == sounds.RATE
    np.testing.assert_allclose(heard[500:-500], expected[500:-500], atol=0.01)


def test_a_long_sound_is_cut_and_a_short_one_filled_up(monkeypatch):
    monkeypatch.setattr(sounds, "LONGEST", 1)
    assert len(sounds.sound(wav(np.zeros(50_000, np.int16)), 10)) == sounds.RATE
    assert sounds.sound(wav(np.ones(3, np.float32)), 10).tolist() == [1, 1, 1] + [0] * 7


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (wav(np.zeros(0, np.int16)), "no samples"),
        (wav(np.full(9, np.nan, np.float32)), "NaN or infinity"),
        (wav(np.zeros(9, np.int16), 7), "7 samples per second"),
        (wav(np.zeros(9, np.int16), 10**9), "1,000,000,000 samples per second"),
        (wav(WAVE)[:20], None),
        (b"RIFF", None),
        (b"", "no WAV; other formats need soundfile|Error opening|unknown format|not recognised"),
        (b"ID3 of an mp3", "no WAV; other formats need soundfile|Error opening|unknown format|not recognised"),
    ],
)
def test_what_is_no_sound(content, says):
    with pytest.raises(Exception, match=says):
        sounds.sound(content, 10)


def test_other_formats_are_read_where_soundfile_is_installed():
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed: pip install 'mmkd-book[sounds]'")
    for kind in ("FLAC", "OGG"):
        held = io.BytesIO()
        soundfile.write(held, WAVE, sounds.RATE, format=kind)
        np.testing.assert_allclose(sounds.sound(held.getvalue(), 10)[500:-500], WAVE[500:-500], atol=0.1)


def test_frames_have_one_length_in_seconds():
    assert [simple.frame_of(rate) for rate in (8_000, 16_000)] == [256, 512]
