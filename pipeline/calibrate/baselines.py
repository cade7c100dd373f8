"""What simpler audits would have gone by, per class: larger speaks more for a shortcut."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import sobel

from pipeline.types import Observed


def baselines(observed: Observed, k: str, edge_ratio: float) -> dict[str, float]:
    """Per class k, the statistics that papers and tutorials judge by, from what the audit saw anyway.

    outside_ratio: mean outside over inside attribution per pixel (Lapuschkin et al. 2016), per method; pointing: share
    of images whose maximum lies outside; grad_cam_iou: 1 - IoU of Grad-CAM's top pixels (Moayeri et al. 2022);
    removed_accuracy: share still called k without its object, without any control; edge_filter: outside_ratio of a
    Sobel filter posing as attribution (`edge_ratio`, from the pictures).
    """
    scores = observed.scores[observed.scores["class"] == k]
    area = observed.images.loc[observed.images["class"] == k, "area_fraction"].mean()
    found: dict[str, float] = {}
    for method, own in scores.groupby("method"):
        inside = own["inside_share"].mean()
        found[f"outside_ratio:{method}"] = float(((1 - inside) / (1 - area)) / max(inside / area, 1e-9))
        found[f"pointing:{method}"] = float(1 - own["pointing_hit"].mean())
        if method == "grad_cam":
            found["grad_cam_iou"] = float(1 - own["iou_top"].mean())
    found["edge_filter"] = edge_ratio
    trials = observed.trials
    removed = trials[(trials["intervention"] == "object_removed") & (trials["recipient_class"] == k)]
    found["removed_accuracy"] = _rate(removed, k)
    moved = trials[(trials["intervention"] == "outside_transplant") & (trials["recipient_class"] == k)]
    found["background_drop"] = 1 - _rate(moved[moved["arm"] == "other"], k)
    return found


def edge_ratios(images: NDArray[np.uint8], masks: NDArray[np.bool_], labels: NDArray[np.int64]) -> dict[int, float]:
    """Per label, mean outside over inside Sobel magnitude per pixel: an attribution that never saw the model.

    Args:
        images: (n, H, W, 3); masks: (n, H, W); labels: (n,).
    """
    grey = images.astype(np.float32).mean(axis=3)
    edges = np.hypot(sobel(grey, axis=1), sobel(grey, axis=2))
    inside = (edges * masks).sum(axis=(1, 2)) / masks.sum(axis=(1, 2))
    outside = (edges * ~masks).sum(axis=(1, 2)) / np.maximum((~masks).sum(axis=(1, 2)), 1)
    return {int(k): float(outside[labels == k].mean() / inside[labels == k].mean()) for k in np.unique(labels)}


def _rate(trials: pd.DataFrame, k: str) -> float:
    return float((trials["predicted"] == k).mean()) if len(trials) else float(np.nan)
