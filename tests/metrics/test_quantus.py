"""Agreement with Quantus where it follows the papers, and what it answers where it does not.

Called with one image at a time, its own scaling and absolute value off, on non-negative maps without ties.
"""

import math
import warnings

import numpy as np
import pytest
import torch

from pipeline.metrics.localisation import Pointing, inside_share
from pipeline.metrics.placement import gini
from pipeline.metrics.ranking import auroc, rank_accuracy

CASES = 200


@pytest.fixture(scope="module")
def quantus():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("quantus", exc_type=ImportError)  # OpenCV under it may lack libGL


def theirs(metric, maps, inside):
    """The score of a Quantus metric class for one map (H, W)."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        score = metric(normalise=False, abs=False, disable_warnings=True)
        maps, inside = maps[None, None], inside[None, None].astype(float)
        return float(
            score(model=None, x_batch=np.zeros_like(maps), y_batch=np.zeros(1, int), a_batch=maps, s_batch=inside)[0]
        )


def as_tensors(maps, inside):
    return torch.from_numpy(maps)[None], torch.from_numpy(inside)[None]


def random_pair(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(6, 20), rng.integers(21, 30)
    inside = np.zeros((height, width), bool)
    y, x = rng.integers(0, height - 3), rng.integers(0, width - 3)
    inside[y : y + rng.integers(1, height - 2), x : x + rng.integers(1, width - 2)] = True
    return rng.random((height, width)), inside


def pointing(maps, inside):
    return Pointing()(maps, inside, inside)["pointing_hit"]


def test_agreement_on_maps_without_ties(quantus):
    peers = [
        (inside_share, quantus.RelevanceMassAccuracy, 1e-12),
        (inside_share, quantus.AttributionLocalisation, 1e-9),  # adds 1e-9 to its denominator
        (rank_accuracy, quantus.RelevanceRankAccuracy, 1e-12),
        (pointing, quantus.PointingGame, 0),
        (auroc, quantus.AUC, 1e-12),
    ]
    for seed in range(CASES):
        maps, inside = random_pair(seed)
        for own, peer, tolerance in peers:
            found = own(*as_tensors(maps, inside)).item()
            assert found == pytest.approx(theirs(peer, maps, inside), rel=0, abs=tolerance), (seed, peer.__name__)


def test_gini_agrees_with_their_sparseness(quantus):
    for seed in range(20):
        maps, _ = random_pair(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            metric = quantus.Sparseness(normalise=False, abs=False, disable_warnings=True)
            batch = maps[None, None]
            (score,) = metric(model=None, x_batch=np.zeros_like(batch), y_batch=np.zeros(1, int), a_batch=batch)
        # They add 1e-7 to every pixel.
        assert gini(torch.from_numpy(maps)[None]).item() == pytest.approx(float(score), rel=0, abs=1e-6)


@pytest.fixture
def deviating(quantus):
    if quantus.__version__ != "0.6.0":
        pytest.skip(f"the deviations were seen in quantus 0.6.0, this is {quantus.__version__}")
    return quantus


def test_signed_mass_is_a_number_there_and_undefined_here(deviating):
    maps = np.array([[3.0, -2.0, 1.0], [-1.0, 0.5, -0.5]])
    inside = np.array([[True, False, False], [False, True, False]])
    assert theirs(deviating.RelevanceMassAccuracy, maps, inside) == 3.5
    assert math.isnan(inside_share(*as_tensors(maps, inside)))


def test_one_of_four_tied_maxima_is_a_hit_there_and_a_quarter_here(deviating):
    maps, inside = np.zeros((6, 9)), np.zeros((6, 9), bool)
    maps[1:3, 1:3] = 1.0
    inside[2:5, 2:7] = True
    assert theirs(deviating.PointingGame, maps, inside) == 1
    assert pointing(*as_tensors(maps, inside)).item() == 0.25


def test_an_empty_mask_is_a_hit_there_and_undefined_here(deviating):
    maps, _ = random_pair(0)
    batch, masks = np.stack([maps, maps])[:, None], np.zeros((2, 1, *maps.shape))
    masks[0, 0, 0, 0] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = deviating.PointingGame(normalise=False, abs=False, disable_warnings=True)
        scores = metric(model=None, x_batch=batch, y_batch=np.zeros(2, int), a_batch=batch, s_batch=masks)
    assert [bool(score) for score in scores] == [False, True]
    assert math.isnan(pointing(*as_tensors(maps, np.zeros(maps.shape, bool))))


def test_ties_depend_on_the_sort_there_and_count_by_expectation_here(deviating):
    maps = np.zeros((14, 28))
    maps[4:6, 8:12] = 1.0
    inside = np.zeros((14, 28), bool)
    inside[2:10, 4:20] = True
    expected = (8 + 120 * 120 / 384) / 128
    assert rank_accuracy(*as_tensors(maps, inside)).item() == pytest.approx(expected)
    assert theirs(deviating.RelevanceRankAccuracy, maps, inside) != pytest.approx(expected, abs=0.02)
