"""Pictures of strangers, opened so that none of them can hurt: formats, sizes, modes and turns of all kinds."""

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
# Pillow would also run Ghostscript for an EPS that is called .png.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MOST_PIXELS = 89_478_485  # where Pillow begins to warn of a bomb: a quarter of a GB in RGB


def picture(content: bytes, least: int) -> "Image":
    """The picture that the bytes of a file hold, in RGB and upright; of an animation its first.

    What is transparent lies on white, 16 bits become 8. A JPEG may come in a smaller size of at least `least` pixels a
    side, which is quicker. Raises `ValueError` for a picture of more than `MOST_PIXELS`, and whatever Pillow raises for
    bytes that are no whole picture.
    """
    from PIL import Image

    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]  # an old Pillow, or a slim one, knows fewer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd palettes and EXIF, and of bombs, which are refused here
        with Image.open(io.BytesIO(content), formats=formats) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise ValueError(f"{width:,} × {height:,} pixels; expected at most {MOST_PIXELS:,}")
            image.draft("RGB", (least, least))
            image.load()
            return _rgb(_upright(image))


def _upright(image: "Image") -> "Image":
    """The picture turned as its EXIF says; EXIF that cannot be read says nothing."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # EXIF is written by cameras and by whoever wants
        return image


def _rgb(image: "Image") -> "Image":
    from PIL import Image

    if image.mode.startswith(("I", "F")):  # a grey of more than 8 bits: 16, or floats of any range
        grey = np.nan_to_num(np.asarray(image).astype(np.float64))
        low, high = (float(grey.min()), float(grey.max())) if image.mode == "F" else (0.0, 65535.0)
        if image.mode == "I" and grey.min() >= 0 and grey.max() <= 255:
            high = 255.0
        scaled = (grey - low) * (255 / (high - low or 1))
        return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return image.convert("RGB")


def squeezed(content: bytes, side: int) -> UInt8[np.ndarray, "side side 3"]:
    """The whole picture in `side` times `side` pixels, whatever its shape was."""
    from PIL import Image

    image = picture(content, side)
    return np.asarray(image if image.size == (side, side) else image.resize((side, side), Image.Resampling.BILINEAR))


def shrunk(content: bytes, most: int = 1024) -> "Image":
    """The picture in at most `most` pixels a side; of a strip the middle, since networks see the middle alone."""
    image = picture(content, most // 2)
    image.thumbnail((most, most))
    width, height = (min(size, 4 * min(image.size)) for size in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
