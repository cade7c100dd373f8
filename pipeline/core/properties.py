"""Trivial properties of a photograph: what no object recognition should need."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RING = 0.05  # width of the border, as a share of the shorter side


def properties(image: NDArray[np.uint8], inside: NDArray[np.bool_]) -> dict[str, float]:
    """Brightness, contrast, colour, saturation and sharpness around the objects, and the border's colour.

    Args:
        image: (3, H, W) RGB.
        inside: (H, W), the objects, which are left out; all pixels count where nothing is outside.

    Returns:
        Values in [0, 1], but sharpness: the logarithm of the Laplacian's mean square.
    """
    pixels = image.astype(np.float32) / 255
    outside = ~inside if not inside.all() else np.ones_like(inside)
    around = pixels[:, outside]
    grey = pixels.mean(axis=0)
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    middle = outside[1:-1, 1:-1]
    fine = laplacian[middle] if middle.any() else laplacian.ravel()
    ring = max(1, round(RING * min(grey.shape)))
    border = np.ones(grey.shape, bool)
    border[ring:-ring, ring:-ring] = False
    edge = pixels[:, border].mean(axis=1)
    red, green, blue = around.mean(axis=1)
    return {
        "brightness": float(around.mean()),
        "contrast": float(around.mean(axis=0).std()),
        "red": float(red),
        "green": float(green),
        "blue": float(blue),
        "saturation": float((around.max(axis=0) - around.min(axis=0)).mean()),
        "sharpness": float(np.log(np.mean(fine**2) + 1e-6)) if fine.size else float(np.log(1e-6)),
        "border_red": float(edge[0]),
        "border_green": float(edge[1]),
        "border_blue": float(edge[2]),
    }
