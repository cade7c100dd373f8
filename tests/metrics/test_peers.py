"""Every metric against a slow twin in loops, scikit-learn, torchmetrics and the formulas of Shared Interest."""

import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.functional.classification import binary_auroc, binary_average_precision, binary_jaccard_index

from pipeline.metrics.localisation import InsideShare, Pointing
from pipeline.metrics.overlap import IouTop, SharedInterest
from pipeline.metrics.placement import Border, Concentration, OtherObjects, TopWindow
from pipeline.metrics.ranking import Auroc, RankAccuracy

CASES = 200


def a_case(seed):
    """A non-square map with its masks; every third one signed, every third with many ties."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(4, 15), rng.integers(16, 25)
    maps = rng.normal(size=(height, width)) if seed % 3 else rng.random((height, width))
    if seed % 3 == 2:
        maps = np.round(maps * 2)
    inside, others = np.zeros((2, height, width), bool)
    for mask in (inside, others):
        y, x = rng.integers(0, height - 2), rng.integers(0, width - 2)
        mask[y : y + rng.integers(1, height), x : x + rng.integers(1, width)] = True
    inside[0, 0] = False
    inside[-1, -1] = True
    others[-1, 0] = True
    return maps, inside, others & ~inside if (others & ~inside).any() else ~inside


def ours(metric, maps, inside, others):
    tensors = [torch.from_numpy(np.ascontiguousarray(x))[None] for x in (maps, inside, others)]
    return {name: value.item() for name, value in metric(*tensors).items()}


# The twins: one image, loops over pixels, formulas as the papers write them.


def twin_share(maps, mask):
    part = total = 0.0
    for value, hit in zip(maps.flat, mask.flat, strict=True):
        total += max(value, 0.0)
        part += max(value, 0.0) if hit else 0.0
    return part / total


def twin_inside_share(maps, inside, others):
    area = sum(1 for hit in inside.flat if hit) / inside.size
    part = twin_share(maps, inside)
    return {"inside_share": part, "area_fraction": area, "lift": part / area}


def twin_pointing(maps, inside, others, tolerance=2.5):
    near = set()
    for y, x in np.ndindex(*maps.shape):
        for v, u in zip(*np.nonzero(inside), strict=True):
            if (y, x) == (v, u) or math.hypot(y - v, x - u) < tolerance:
                near.add((y, x))
    height, width = maps.shape
    tops = [place for place in np.ndindex(height, width) if maps[place] == maps.max()]
    centres = {(y, x) for y in ((height - 1) // 2, height // 2) for x in ((width - 1) // 2, width // 2)}
    return {
        "pointing_hit": sum(p in near for p in tops) / len(tops),
        "pointing_chance": len(near) / maps.size,
        "centre_hit": sum(p in near for p in centres) / len(centres),
    }


def twin_rank_accuracy(maps, inside, others):
    """Per object pixel, the chance that it is among the top k when ties fall in random order."""
    k, score = int(inside.sum()), 0.0
    for value in maps[inside]:
        higher, same = (maps > value).sum(), (maps == value).sum()
        score += min(max((k - higher) / same, 0.0), 1.0)
    return {"rank_accuracy": score / k}


def twin_auroc(maps, inside, others):
    wins = 0.0
    for value in maps[inside]:
        for other in maps[~inside]:
            wins += 1.0 if value > other else 0.5 if value == other else 0.0
    precisions = [(maps[inside] >= value).sum() / (maps >= value).sum() for value in maps[inside]]
    return {
        "auroc": wins / (inside.sum() * (~inside).sum()),
        "average_precision": math.fsum(precisions) / len(precisions),
    }


def twin_iou(chosen, inside):
    return (chosen & inside).sum() / (chosen | inside).sum()


def twin_iou_top(maps, inside, others):
    kth = sorted(maps.flat, reverse=True)[int(inside.sum()) - 1]
    cuts = {"iou_top": kth, "iou_q90": np.quantile(maps, 0.9), "iou_q95": np.quantile(maps, 0.95)}
    return {name: twin_iou(maps >= cut, inside) for name, cut in cuts.items()}


def shared_interest_formulas(maps, inside, others):
    """The authors' steps: scale to [0, 1], threshold one deviation above the mean, count."""
    scaled = (maps - maps.min()) / (maps.max() - maps.min())
    chosen = scaled >= np.mean(scaled) + np.std(scaled)
    return {
        "saliency_coverage": (chosen & inside).sum() / chosen.sum(),
        "ground_truth_coverage": (chosen & inside).sum() / inside.sum(),
        "iou_binary": twin_iou(chosen, inside),
    }


def twin_other_objects(maps, inside, others):
    return {"other_objects_share": twin_share(maps, others)}


def twin_concentration(maps, inside, others):
    """Half the relative mean absolute difference of all pairs."""
    values = np.abs(maps).ravel()
    return {"concentration": np.abs(values[:, None] - values).mean() / (2 * values.mean())}


def twin_border(maps, inside, others):
    height, width = maps.shape
    band_y, band_x = max(1, round(0.1 * height)), max(1, round(0.1 * width))
    side_y, side_x = max(1, round(0.2 * height)), max(1, round(0.2 * width))
    inner, corner = np.ones_like(inside), {name: np.zeros_like(inside) for name in ("tl", "tr", "bl", "br")}
    inner[band_y : height - band_y, band_x : width - band_x] = False
    corner["tl"][:side_y, :side_x] = corner["tr"][:side_y, width - side_x :] = True
    corner["bl"][height - side_y :, :side_x] = corner["br"][height - side_y :, width - side_x :] = True
    shares = {f"corner_{name}_share": twin_share(maps, mask) for name, mask in corner.items()}
    return {"border_share": twin_share(maps, inner)} | shares


def twin_top_window(maps, inside, others):
    height, width = maps.shape
    size = max(1, round(0.15 * min(height, width)))
    mass, best = np.where(inside, 0, np.maximum(maps, 0)), (-1.0, 0, 0)
    for y in range(height - size + 1):
        for x in range(width - size + 1):
            window = math.fsum(mass[y : y + size, x : x + size].flat)
            if window > best[0]:
                best = (window, x, y)
    total = math.fsum(np.maximum(maps, 0).flat)
    return {
        "top_window_x": best[1],
        "top_window_y": best[2],
        "top_window_size": size,
        "top_window_share": best[0] / total,
    }


TWINS = [
    (InsideShare(), twin_inside_share),
    (Pointing(tolerance_px=2.5), twin_pointing),
    (RankAccuracy(), twin_rank_accuracy),
    (Auroc(), twin_auroc),
    (IouTop(), twin_iou_top),
    (SharedInterest(), shared_interest_formulas),
    (OtherObjects(), twin_other_objects),
    (Concentration(), twin_concentration),
    (Border(), twin_border),
    (TopWindow(), twin_top_window),
]


@pytest.mark.parametrize(("metric", "twin"), TWINS, ids=lambda x: type(x).__name__ if hasattr(x, "version") else "")
def test_metric_equals_its_slow_twin(metric, twin):
    for seed in range(CASES):
        case = a_case(seed)
        assert ours(metric, *case) == pytest.approx(twin(*case), abs=1e-12), seed


def test_auroc_and_average_precision_equal_scikit_learns():
    for seed in range(CASES):
        maps, inside, others = a_case(seed)
        found = ours(Auroc(), maps, inside, others)
        assert found["auroc"] == pytest.approx(roc_auc_score(inside.ravel(), maps.ravel()), abs=1e-12)
        precision = average_precision_score(inside.ravel(), maps.ravel())
        assert found["average_precision"] == pytest.approx(precision, abs=1e-12)


def test_auroc_average_precision_and_iou_equal_torchmetrics():
    for seed in range(0, CASES, 4):
        maps, inside, others = a_case(seed)
        # torchmetrics would squash scores outside [0, 1] and computes in float32.
        scores, truth = (
            torch.from_numpy((maps - maps.min()) / np.ptp(maps)).flatten(),
            torch.from_numpy(inside).flatten(),
        )
        found = ours(Auroc(), maps, inside, others) | ours(IouTop(), maps, inside, others)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            area, precision = binary_auroc(scores, truth.long()), binary_average_precision(scores, truth.long())
            chosen = torch.from_numpy(maps >= np.sort(maps, axis=None)[-int(inside.sum())]).flatten()
            overlap = binary_jaccard_index(chosen.long(), truth.long())
        assert found["auroc"] == pytest.approx(area.item(), abs=1e-6)
        assert found["average_precision"] == pytest.approx(precision.item(), abs=1e-6)
        assert found["iou_top"] == pytest.approx(overlap.item(), abs=1e-6)


def test_iou_at_a_quantile_equals_shared_interests_percentile():
    for seed in range(CASES):
        maps, inside, others = a_case(seed)
        scaled = (maps - maps.min()) / np.ptp(maps)
        found = ours(IouTop(quantiles=[0.8]), maps, inside, others)["iou_q80"]
        assert found == pytest.approx(twin_iou(scaled >= np.percentile(scaled, 80), inside), abs=1e-12), seed
