"""Photographs, masks and attribution maps become small files; the page colours the maps."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
import torch.nn.functional as F
from markupsafe import Markup
from PIL import Image
from torch import Tensor

DISPLAY_QUANTILE = 0.995  # a few hot pixels would leave the rest of a map black
FILTERS = {"heat": "inferno", "viridis": "viridis", "gray": "gray"}  # the filter's id -> matplotlib's colour map
EFFORT = 2  # of the WebP encoder, 0 to 6: half the time of its default 4, files 2 % larger
SAMPLES = 17  # of the colour map; between them the filter interpolates


def write_picture(image: Tensor, path: Path) -> None:
    """Writes (3, H, W) RGB, uint8 or float in [0, 1], as WebP in its own size.

    Raises ValueError for another shape.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"`image` must have the shape (3, height, width), got {tuple(image.shape)}")
    pixels = image.detach().cpu()
    if pixels.dtype != torch.uint8:
        pixels = (pixels.clamp(0, 1) * 255).round().to(torch.uint8)
    _save(Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()), path, quality=85)


def write_heat(mass: Tensor, path: Path) -> None:
    """Writes a map (H, W) >= 0 as a grey WebP: 0 is black, the 99.5th percentile and everything above it white.

    For looking at only: the scale is each picture's own, and 8 bits are no measurement. A map that is zero everywhere
    is written black. Raises ValueError for negative or non-finite values and for another shape.
    """
    if mass.ndim != 2:
        raise ValueError(f"`mass` must have the shape (height, width), got {tuple(mass.shape)}")
    values = mass.detach().cpu().double().numpy()
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(
            "`mass` must be finite and 0 or more everywhere; take a signed map's positive or absolute part"
        )
    top = np.quantile(values, DISPLAY_QUANTILE) or values.max()
    grey = (255 * (values / top).clip(0, 1)).round() if top > 0 else values
    _save(Image.fromarray(grey.astype(np.uint8)), path, quality=80)


def write_mask(mask: Tensor, path: Path) -> None:
    """Writes a mask (H, W) bool as a PNG of one bit per pixel, white on the object. Raises ValueError for others."""
    if mask.ndim != 2 or mask.dtype != torch.bool:
        raise ValueError(f"`mask` must be bool (height, width), got {mask.dtype} {tuple(mask.shape)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.detach().cpu().numpy()).save(path, "PNG")


def shrunk(maps: Tensor, side: int) -> Tensor:
    """Maps (B, H, W) whose larger side is at most `side`, by area averaging: no hot pixel falls between the samples.

    For looking at only; what is measured changes size by core/maps.resize.
    """
    height, width = maps.shape[-2:]
    largest = max(height, width)
    if largest <= side:
        return maps
    size = (max(1, round(height * side / largest)), max(1, round(width * side / largest)))
    return F.interpolate(maps[:, None], size=size, mode="area")[:, 0]


def file_name(name: str) -> str:
    """A name of anything as a file's or folder's, on any system: others' names never become the same one.

    Small letters, digits, `_` and `-` stay; whatever else a name holds is told apart by a hash.
    """
    plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower())[:40]
    if plain == name and plain:
        return plain
    return f"{plain}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


def colour_filters() -> Markup:
    """SVG filters with the ids `heat` (inferno), `viridis` and `gray`: a grey picture's intensity becomes a colour.

    The intensity becomes the opacity too, rising faster than it, so that the photograph shows where there is nothing.
    """
    filters = Markup("").join(_colour_filter(i, name) for i, name in FILTERS.items())
    return Markup('<svg class="defs" width="0" height="0" aria-hidden="true" focusable="false">{}</svg>').format(
        filters
    )


def _colour_filter(identity: str, name: str) -> Markup:
    colours = mpl.colormaps[name](np.linspace(0, 1, SAMPLES))[:, :3]
    channels = zip("RGB", colours.T, strict=True)
    tables = Markup("").join(
        Markup('<feFunc{} type="table" tableValues="{}"/>').format(c, " ".join(f"{v:.3f}" for v in column))
        for c, column in channels
    )
    return Markup(
        '<filter id="{}" color-interpolation-filters="sRGB">'
        '<feColorMatrix in="SourceGraphic" type="matrix" result="a" '
        'values="0 0 0 0 0  0 0 0 0 0  0 0 0 0 0  1 0 0 0 0"/>'
        '<feComponentTransfer in="a" result="alpha"><feFuncA type="table" tableValues="0 .55 .8 .92 1"/>'
        "</feComponentTransfer>"
        '<feComponentTransfer in="SourceGraphic" result="colour">{}</feComponentTransfer>'
        '<feComposite in="colour" in2="alpha" operator="in"/></filter>'
    ).format(identity, tables)


def _save(image: Image.Image, path: Path, *, quality: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "WEBP", quality=quality, method=EFFORT)
