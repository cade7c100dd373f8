"""One small scene, written as a photograph with a red object, and the recipes for annotating it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SIZE = (64, 48)  # width, height: never square
RED = (250, 10, 10)
BOX = (20, 9, 45, 30)  # half-open: columns 20 to 44, rows 9 to 29


def draw(size: tuple[int, int] = SIZE, box: tuple[int, int, int, int] = BOX) -> Image.Image:
    pixels = np.random.default_rng(0).integers(90, 160, (size[1], size[0], 3), dtype=np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = RED
    return Image.fromarray(pixels)


def draw_mask(size: tuple[int, int] = SIZE, box: tuple[int, int, int, int] = BOX, value: int = 255) -> Image.Image:
    pixels = np.zeros((size[1], size[0]), dtype=np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = value
    return Image.fromarray(pixels)


@pytest.fixture
def scene() -> Image.Image:
    """The photograph: noise, and a red rectangle at columns 20 to 44, rows 9 to 29 of 64 x 48 pixels."""
    return draw()


@pytest.fixture
def redraw() -> Callable[..., Image.Image]:
    """The photograph at another size or with another rectangle."""
    return draw


@pytest.fixture
def mask_image() -> Callable[..., Image.Image]:
    """A black image with a rectangle of one value."""
    return draw_mask


@pytest.fixture
def voc_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a VOC folder: {stem: objects}, each object (name, xmin, ymin, xmax, ymax) as VOC counts."""

    def write(sheets: dict[str, Sequence[tuple[Any, ...]]], *, size: str = "64 48", filename: str = "") -> Path:
        (tmp_path / "JPEGImages").mkdir()
        (tmp_path / "Annotations").mkdir()
        for stem, objects in sheets.items():
            draw().save(tmp_path / "JPEGImages" / f"{stem}.png")
            (tmp_path / "Annotations" / f"{stem}.xml").write_text(voc_xml(objects, size, filename or f"{stem}.png"))
        return tmp_path

    return write


def voc_xml(objects: Sequence[tuple[Any, ...]], size: str, filename: str) -> str:
    width, height = size.split()
    keys = ("xmin", "ymin", "xmax", "ymax")
    regions = (
        f"<object><name>{name}</name><difficult>1</difficult><bndbox>"
        + "".join(f"<{k}>{v}</{k}>" for k, v in zip(keys, box, strict=True))
        + "</bndbox></object>"
        for name, *box in objects
    )
    stated = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>{filename}</filename>{stated}{''.join(regions)}</annotation>"


@pytest.fixture
def coco_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a COCO JSON beside `images/`, whose photographs it draws; annotations of image 1 unless they say."""

    def write(
        annotations: Sequence[dict[str, Any]],
        *,
        images: Sequence[dict[str, Any]] = ({"id": 1, "file_name": "a.png", "width": 64, "height": 48},),
        categories: Sequence[str] = ("dog", "cat"),
    ) -> Path:
        folder = tmp_path / "images"
        folder.mkdir(exist_ok=True)
        for image in images:
            name = image.get("file_name", "")
            if name and ".." not in name:
                draw().save(folder / name)
        content = {
            "images": list(images),
            "annotations": [{"id": n, "image_id": 1, "category_id": 1, **a} for n, a in enumerate(annotations)],
            "categories": [{"id": n, "name": name} for n, name in enumerate(categories, start=1)],
        }
        path = tmp_path / "instances.json"
        path.write_text(json.dumps(content))
        return path

    return write
