"""An image file -> an upright RGB picture, or a clear reason why not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from pipeline.datasets.annotations import UnusableError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # photographs only; others (EPS) would run programs
MAX_PIXELS = 200_000_000
WHITE = (255, 255, 255)

# Once, before threads decode: those that load Pillow's drivers at the same time find some of them missing.
Image.init()

_ORIENTATION = 0x0112
_MAKE_AND_MODEL = (271, 272)  # EXIF tags
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PLAIN = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr"})
_TRANSPARENT = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_DEEP = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded photograph."""

    image: Image.Image  # RGB, upright
    orientation: int  # EXIF, 1 to 8; the turn has been made
    file_type: str = ""  # as Pillow calls it
    camera: str = ""  # EXIF make and model

    @property
    def stored_size(self) -> tuple[int, int]:
        """(width, height) before the turn."""
        width, height = self.image.size
        return (height, width) if self.orientation >= 5 else (width, height)  # 5 to 8 are quarter turns


def decode(path: Path, *, background: tuple[int, int, int] = WHITE, max_pixels: int = MAX_PIXELS) -> Picture:
    """The photograph as an upright RGB image of 8 bits.

    - EXIF orientation is applied.
    - 16-bit grey is scaled by its declared range (65535 becomes 255), never clipped; grey becomes three equal channels.
    - Transparent pixels show `background`: white, on which pages and annotation tools show them. A plain conversion
      would bring up whatever colours lie hidden under them.
    - CMYK is converted without its colour profile, as Pillow does.
    - Of a multi-picture JPEG (MPO, from phones) the first picture is the photograph. Other files of several frames are
      refused, since boxes do not say to which frame they belong.

    Raises UnusableError with reason missing_file, empty_file, image_too_large (decided on the header, before any pixel
    is decoded), animated_image, unsupported_mode or broken_image (truncated ones too).
    """
    with opened(path, max_pixels) as file:
        if getattr(file, "n_frames", 1) > 1 and file.format != "MPO":
            raise UnusableError(
                "animated_image",
                f"{path} has {file.n_frames} frames, expected one; export the frame that was annotated",  # type: ignore[attr-defined]
            )
        orientation = _orientation(file)
        file.load()
        image = turned(_rgb(file, background, path), _orientation(file))  # Pillow has turned a TIFF already
        return Picture(image=image, orientation=orientation, file_type=file.format or "", camera=_camera(file))


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """The image as EXIF `orientation` says that it should be seen."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


@contextmanager
def opened(path: Path, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """The file's header, its pixels not yet decoded; whatever fails inside becomes UnusableError."""
    if not path.is_file():
        raise UnusableError("missing_file", f"{path} is not there; add the image or drop its annotation")
    if path.stat().st_size == 0:
        raise UnusableError("empty_file", f"{path} has no bytes; fetch it again")
    try:
        with path.open("rb") as stream:
            image = _open(stream, path)
            if image.width * image.height > max_pixels:
                raise _too_large(path, f"{image.width} x {image.height} pixels, more than {max_pixels:,}")
            yield image
    except (UnusableError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path, str(error)) from error
    except Exception as error:  # decoders raise whatever a broken file leads them to
        raise UnusableError("broken_image", f"{path} cannot be decoded ({error}); fetch or export it again") from error


def _open(stream: BinaryIO, path: Path) -> Image.Image:
    """What Image.open does, without its bomb check: that one warns below our own limit and reads a global."""
    prefix = stream.read(16)
    for name in FORMATS:
        factory, accepts = Image.OPEN[name]
        if accepts is None or accepts(prefix) is True:
            stream.seek(0)
            return factory(stream, str(path))
    raise ValueError(f"expected one of {', '.join(FORMATS)}, but it begins with {prefix[:8]!r}")


def _too_large(path: Path, found: str) -> UnusableError:
    return UnusableError("image_too_large", f"{path}: {found}; shrink it together with its annotation")


def _camera(image: Image.Image) -> str:
    exif = image.getexif()
    return " ".join(str(exif[tag]).strip(" \0") for tag in _MAKE_AND_MODEL if exif.get(tag))


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(_ORIENTATION, 1)
    return value if value in _TURNS else 1


def _rgb(image: Image.Image, background: tuple[int, int, int], path: Path) -> Image.Image:
    if image.mode in _TRANSPARENT or (image.mode in _PLAIN and "transparency" in image.info):
        rgba = image.convert("RGBA")
        page = Image.new("RGBA", rgba.size, (*background, 255))
        return Image.alpha_composite(page, rgba).convert("RGB")
    if image.mode in _PLAIN:
        return image.convert("RGB")
    # Pillow opens a PGM of 16 bits as 32-bit integers, scaled to 65535; elsewhere their range is not declared.
    if image.mode in _DEEP or (image.mode == "I" and image.format == "PPM"):
        deep = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    raise UnusableError(
        "unsupported_mode",
        f"{path} has pixels of mode {image.mode}, whose range is not declared; expected 8 or 16 bits; export as PNG",
    )
