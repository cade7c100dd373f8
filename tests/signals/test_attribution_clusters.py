"""SpRAy: planted groups are found, one group stays one, and the table describes them."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.signals.attribution_clusters import AttributionClusters, spectral_clusters
from pipeline.types import Observed

SETTINGS = {"max_clusters": 6, "neighbours": 8, "gap": 0.15, "min_images": 20, "max_images": 400, "exemplars": 3}


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
        labels, _ = spectral_clusters(np.sqrt(maps.reshape(80, -1)), 6, 8, 0.15, 0)
        own, rest = labels[:16], labels[16:]
        right.append(not set(own) & set(rest))
    assert sum(right) >= 7


@pytest.mark.parametrize("n", [30, 100])
def test_one_group_stays_one(n: int) -> None:
    counts = []
    for seed in range(12):
        maps = small_maps(np.random.default_rng(seed), n, 0)
        labels, _ = spectral_clusters(np.sqrt(maps.reshape(n, -1)), 6, 8, 0.15, 0)
        counts.append(labels.max() + 1)
    assert np.mean(np.array(counts) == 1) >= 0.9


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
