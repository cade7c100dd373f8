"""Every odd image file has a defined outcome."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.datasets import images
from pipeline.datasets.annotations import UnusableError


def refused(path: Path, **options: int) -> UnusableError:
    with pytest.raises(UnusableError) as caught:
        images.decode(path, **options)
    assert path.name in caught.value.message
    assert caught.value.status == "failed"
    return caught.value


def test_a_plain_photograph_is_unchanged(tmp_path: Path, scene: Image.Image) -> None:
    scene.save(tmp_path / "a.png")
    picture = images.decode(tmp_path / "a.png")
    assert picture.image.mode == "RGB"
    assert np.array_equal(picture.image, scene)
    assert (picture.stored_size, picture.orientation) == ((64, 48), 1)


def test_missing_and_zero_byte_files(tmp_path: Path) -> None:
    assert refused(tmp_path / "no.png").reason == "missing_file"
    (tmp_path / "empty.jpg").touch()
    assert refused(tmp_path / "empty.jpg").reason == "empty_file"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "bmp", "tif"])
def test_truncated_files(tmp_path: Path, scene: Image.Image, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    scene.save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert refused(path).reason == "broken_image"


@pytest.mark.parametrize("content", [b"not an image at all", b"\xff\xd8\xff\xe0", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\0"])
def test_files_that_are_no_photograph(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    assert refused(tmp_path / "a.jpg").reason == "broken_image"


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_files_of_several_frames_are_refused(tmp_path: Path, scene: Image.Image, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    scene.save(path, save_all=True, append_images=[scene.transpose(Image.Transpose.ROTATE_180)])
    problem = refused(path)
    assert problem.reason == "animated_image"
    assert "2 frames" in problem.message


def test_a_multi_picture_jpeg_is_its_first_picture(tmp_path: Path, scene: Image.Image) -> None:
    scene.save(tmp_path / "a.mpo", save_all=True, append_images=[Image.new("RGB", scene.size)], quality=95)
    scene.save(tmp_path / "b.jpg", quality=95)
    (tmp_path / "a.mpo").rename(tmp_path / "a.jpg")
    assert np.array_equal(images.decode(tmp_path / "a.jpg").image, images.decode(tmp_path / "b.jpg").image)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled_by_their_range_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 65535, 48 * 64).round().astype(np.uint16).reshape(48, 64)
    path = tmp_path / f"a.{suffix}"
    if suffix == "pgm":
        path.write_bytes(b"P5 64 48 65535\n" + ramp.astype(">u2").tobytes())
    else:
        Image.fromarray(ramp).save(path)
    found = np.asarray(images.decode(path).image)
    assert np.array_equal(found, np.rint(ramp / 257).astype(np.uint8)[:, :, None].repeat(3, axis=2))


def test_sixteen_bit_colour_keeps_its_high_byte(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    pixels = np.random.default_rng(0).integers(0, 65536, (5, 7, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", 7, 5, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert np.array_equal(images.decode(tmp_path / "a.png").image, pixels // 256)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_modes_without_a_declared_range_are_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (7, 5), 3).save(tmp_path / "a.tif")
    problem = refused(tmp_path / "a.tif")
    assert problem.reason == "unsupported_mode"
    assert f"mode {mode}" in problem.message


def test_grey_and_two_tone_become_three_equal_channels(tmp_path: Path, scene: Image.Image) -> None:
    for mode in ("L", "1"):
        scene.convert(mode).save(tmp_path / "a.png")
        expected = np.asarray(scene.convert(mode).convert("L"))
        assert np.array_equal(images.decode(tmp_path / "a.png").image, expected[:, :, None].repeat(3, axis=2))


def test_palette_shows_its_colours(tmp_path: Path) -> None:
    palette = Image.new("P", (7, 5), 1)
    palette.putpalette([0, 0, 0, 11, 22, 33])
    palette.save(tmp_path / "a.png")
    assert images.decode(tmp_path / "a.png").image.getpixel((3, 3)) == (11, 22, 33)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    red, green, blue = images.decode(tmp_path / "a.jpg").image.getpixel((4, 4))
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "RGB"])
def test_transparent_pixels_show_the_background_and_not_what_is_hidden(tmp_path: Path, kind: str) -> None:
    image = Image.new("RGBA", (8, 4), (255, 0, 0, 0))  # red, fully transparent
    options = {}
    if kind == "P":
        image = Image.new("P", (8, 4), 1)
        image.putpalette([0, 0, 0, 255, 0, 0])
        options = {"transparency": bytes([255, 0])}
    elif kind == "RGB":
        image, options = Image.new("RGB", (8, 4), (255, 0, 0)), {"transparency": (255, 0, 0)}
    else:
        image = image.convert(kind)
    image.save(tmp_path / "a.png", **options)
    assert images.decode(tmp_path / "a.png").image.getpixel((2, 2)) == (255, 255, 255)
    grey = images.decode(tmp_path / "a.png", background=(9, 8, 7))
    assert grey.image.getpixel((2, 2)) == (9, 8, 7)


def test_half_transparent_pixels_are_mixed(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 4), (200, 0, 0, 51)).save(tmp_path / "a.png")  # a fifth of the colour
    assert images.decode(tmp_path / "a.png", background=(0, 0, 100)).image.getpixel((0, 0)) == (40, 0, 80)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_equal_pillows(tmp_path: Path, scene: Image.Image, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    scene.save(path, exif=exif)
    picture = images.decode(path)
    with Image.open(path) as stored:
        assert np.array_equal(picture.image, ImageOps.exif_transpose(stored))
    assert picture.stored_size == (64, 48)
    assert picture.image.size == ((48, 64) if orientation >= 5 else (64, 48))
    assert picture.orientation == orientation


def test_an_orientation_that_exif_does_not_know_is_upright(tmp_path: Path, scene: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    scene.save(tmp_path / "a.png", exif=exif)
    assert images.decode(tmp_path / "a.png").orientation == 1


def bomb(path: Path, width: int, height: int) -> None:
    """A PNG whose header promises more than its few bytes hold."""
    Image.new("L", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("side", [10_000, 13_000, 15_000, 60_000])
def test_huge_images_are_refused_on_their_header_without_pillows_warning(tmp_path: Path, side: int) -> None:
    bomb(tmp_path / "a.png", side, side - 1)
    problem = refused(tmp_path / "a.png", max_pixels=90_000_000)
    assert problem.reason == "image_too_large"
    assert f"{side} x {side - 1}" in problem.message


def test_images_below_the_cap_but_above_pillows_own_do_not_warn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Image.Image
) -> None:
    scene.save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert images.decode(tmp_path / "a.png").image.size == (64, 48)
    assert refused(tmp_path / "a.png", max_pixels=64 * 48 - 1).reason == "image_too_large"


def test_every_decoder_is_there_before_the_first_thread_asks() -> None:
    code = (
        "import pipeline.datasets.images as images\n"
        "from PIL import Image\n"
        "assert set(images.FORMATS) <= set(Image.OPEN), sorted(Image.OPEN)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
