"""SpRAy: planted groups are found, one group stays one, and the table describes them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.signals.attribution_clusters import AttributionClusters, spectral_clusters
from pipeline.types import Observed

CLUSTERING = {"neighbours": 5, "neighbour_share": 0.1, "most_cut": 0.03}
SETTINGS = {"max_clusters": 6, **CLUSTERING, "min_images": 20, "max_images": 400, "exemplars": 3}


def small_maps(rng: np.random.Generator, n: int, cornered: int) -> np.ndarray:
    """(n, 16, 16): smooth noise, the first `cornered` with a bright lower right corner."""
    maps = np.stack([gaussian_filter(rng.random((16, 16)) ** 3, 1) for _ in range(n)])
    maps[:cornered, 12:15, 12:15] += 1.5
    return maps / maps.sum(axis=(1, 2), keepdims=True) * 0.6


def observed(maps: np.ndarray) -> Observed:
    n = len(maps)
    images = pd.DataFrame(
        {"id": [f"i{i}" for i in range(n)], "class": "cat", "small_map": list(maps.astype(np.float16))}
    )
    return Observed(
        model="m", classes=("cat",), n_outputs=2, frame=(32, 32), images=images, scores=pd.DataFrame(),
        trials=pd.DataFrame(), outside_maps={"saliency": np.ones((1, 32, 32))},
    )  # fmt: skip


def test_a_fifth_of_the_images_with_a_mark_are_found() -> None:
    right = []
    for seed in range(8):
        maps = small_maps(np.random.default_rng(seed), 80, 16)
        labels, _ = spectral_clusters(np.sqrt(maps.reshape(80, -1)), 6, **CLUSTERING, seed=0)
        own, rest = labels[:16], labels[16:]
        right.append(not set(own) & set(rest))
    assert sum(right) >= 7


def wandering(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, 16, 16): one blob that lies elsewhere in every map."""
    y, x = rng.normal(8, 2, (2, n, 1, 1))
    ys, xs = np.mgrid[:16, :16]
    return small_maps(rng, n, 0) + 0.01 * np.exp(-((ys - y) ** 2 + (xs - x) ** 2) / 6)


@pytest.mark.parametrize("made", [lambda rng, n: small_maps(rng, n, 0), wandering], ids=["noise", "blob"])
@pytest.mark.parametrize("n", [25, 50, 100])
def test_one_group_stays_one(n: int, made: Callable[[np.random.Generator, int], np.ndarray]) -> None:
    counts = []
    for seed in range(12):
        maps = made(np.random.default_rng(seed), n)
        labels, _ = spectral_clusters(np.sqrt(maps.reshape(n, -1)), 6, **CLUSTERING, seed=0)
        counts.append(labels.max() + 1)
    assert np.mean(np.array(counts) == 1) >= 0.9


def test_two_places_are_two_groups() -> None:
    right = []
    for seed in range(8):
        maps = small_maps(np.random.default_rng(seed), 50, 25)
        maps[25:, 6:9, 6:9] += 0.03
        labels, ratio = spectral_clusters(np.sqrt(maps.reshape(50, -1)), 6, **CLUSTERING, seed=0)
        right.append(labels.max() == 1 and not set(labels[:25]) & set(labels[25:]) and ratio > 2)
    assert sum(right) >= 7


def test_images_without_attribution_outside_are_left_out() -> None:
    maps = small_maps(np.random.default_rng(0), 60, 15)
    maps[[20, 30]] = 0
    (found,) = AttributionClusters(**SETTINGS)(observed(maps), np.random.default_rng(0))
    assert found.n == 58
    assert found.estimate == 2


def test_groups_are_described_by_images_that_belong_to_them() -> None:
    seen = observed(small_maps(np.random.default_rng(0), 60, 15))
    (found,) = AttributionClusters(**SETTINGS)(seen, np.random.default_rng(0))
    assert not found.decides
    assert found.estimate == 2
    sizes = {int(found.details[f"size:{i}"]): str(found.details[f"exemplars:{i}"]) for i in range(2)}
    assert set(sizes) == {15, 45}
    assert {int(name[1:]) < 15 for name in sizes[15].split(", ")} == {True}
    assert {int(name[1:]) < 15 for name in sizes[45].split(", ")} == {False}
    assert len(str(found.details["mean_map:0"]).split()) == 64


def test_the_seed_decides_everything() -> None:
    seen = observed(small_maps(np.random.default_rng(0), 60, 15))
    first, again = (AttributionClusters(**SETTINGS)(seen, np.random.default_rng(5))[0] for _ in range(2))
    assert first.details == again.details


def test_few_images_or_no_maps_say_nothing() -> None:
    assert (
        AttributionClusters(**SETTINGS)(observed(small_maps(np.random.default_rng(0), 10, 0)), np.random.default_rng(0))
        == []
    )
    bare = Observed(**{**vars(observed(small_maps(np.random.default_rng(0), 40, 0))), "outside_maps": {}})
    assert AttributionClusters(**SETTINGS)(bare, np.random.default_rng(0)) == []
