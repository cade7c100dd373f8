"""Does a method notice the model? Its maps of the audited network beside those of one that has learned nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import spearmanr

from pipeline.core.maps import oriented
from pipeline.types import Classifier, Images, Labels, Maps, Method

SIMILAR = 0.9  # mean rank correlation from which on a method looks blind: edge detectors get there, gradients do not
DRAWS = 3  # of random weights that must all look alike: one may happen to like the same objects


def insensitive(
    method: Method, classifier: Classifier, random: Callable[[int], Classifier], images: Images, target: Labels
) -> str:
    """ "" if maps change when the weights do, else the reason for refusing the method, in a sentence.

    The sanity check of Adebayo et al. 2018, at its last stage: all layers random. A method that fails on random weights
    cannot be judged, and passes.

    Args:
        random: seed -> the same architecture with weights drawn anew.
        images: (B, 3, H, W); target: (B,) the logits' columns to explain.
    """
    maps = oriented(method(classifier, images, target), method.sign)
    found = []
    for seed in range(DRAWS):
        try:
            others = oriented(method(random(seed), images, target), method.sign)
        except Exception:  # zero gradients, overflow: whatever random weights bring about
            return ""
        # Where random weights leave a map without any order, the method noticed.
        found.append(float(np.nan_to_num(similarity(maps, others)).mean()))
        if found[-1] < SIMILAR:
            return ""
    alike = ", ".join(f"{value:.2f}" for value in found)
    return f"not model-sensitive: its maps hardly change when all weights are random (rank correlations {alike})"


def similarity(maps: Maps, others: Maps) -> np.ndarray:
    """(B,) Spearman's rank correlation of two oriented maps, over the pixels where one of them is not 0.

    Pixels where both are 0 (a black margin under input x gradient) say nothing on the model. NaN where a map is
    constant or not finite.
    """
    a, b = (m.detach().flatten(1).double().cpu().numpy() for m in (maps, others))
    return np.array([_rank_correlation(x, y) for x, y in zip(a, b, strict=True)])


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    counted = (a != 0) | (b != 0)
    a, b = a[counted], b[counted]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0 or not np.isfinite(a + b).all():
        return float("nan")
    return float(spearmanr(a, b).statistic)
