"""Attribution clusters (SpRAy): do a class's images fall into groups that the model explains differently?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.neighbors import kneighbors_graph

from pipeline.core.stats import Floats, Ints
from pipeline.types import Evidence, Observed

MEAN_GRID = 8  # cells per side of a cluster's mean map, as the report draws it


@dataclass(frozen=True, kw_only=True)
class AttributionClusters:
    """Spectral clustering of a class's small maps, the number of clusters by the largest gap between eigenvalues.

    After SpRAy (Lapuschkin et al. 2019): maps are compared as they lie in the frame, neighbours joined, and the
    Laplacian's smallest eigenvalues say how many groups there are; one where none stands out. Images without
    attribution outside their objects are left out. Suggestions to look at, and never evidence: no error rate is known.
    """

    max_clusters: int
    neighbours: int
    neighbour_share: float
    most_cut: float  # eigenvalue up to which groups count as apart
    min_images: int
    max_images: int  # per class, drawn at random where there are more
    exemplars: int
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.max_clusters < 2 or self.neighbours < 2 or self.min_images <= self.neighbours:
            raise ValueError(
                "`max_clusters` and `neighbours` must be 2 or more, `min_images` above `neighbours`; got "
                f"{self.max_clusters}, {self.neighbours} and {self.min_images}"
            )

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        if "small_map" not in observed.images or not observed.outside_maps:
            return []
        found = [self._evidence(k, observed, rng) for k in observed.classes]
        return [e for e in found if e is not None]

    def _evidence(self, k: str, observed: Observed, rng: np.random.Generator) -> Evidence | None:
        own = observed.images[observed.images["class"] == k]
        own = own[[float(np.sum(m, dtype=np.float64)) > 0 for m in own["small_map"]]]
        own = own.iloc[np.sort(rng.permutation(len(own))[: self.max_images])]
        if len(own) < self.min_images:
            return None
        maps = np.stack([np.asarray(m, np.float64) for m in own["small_map"]])
        outside = maps.sum(axis=(1, 2))
        shapes = maps.reshape(len(maps), -1) / outside[:, None]
        labels, ratio = spectral_clusters(
            np.sqrt(shapes),
            self.max_clusters,
            self.neighbours,
            self.neighbour_share,
            self.most_cut,
            int(rng.integers(2**31)),
        )
        count = int(labels.max()) + 1
        return Evidence(
            signal="attribution_clusters",
            class_name=k,
            estimate=float(count),
            low=float("nan"),
            high=float("nan"),
            unit="clusters",
            p_value=float("nan"),
            n=len(own),
            n_others=0,
            detectable=float("nan"),
            role="lead",
            version=self.version,
            details={"eigenvalue_ratio": ratio, **_described(own, maps, outside, labels, self.exemplars)},
        )


def spectral_clusters(
    features: Floats, most: int, neighbours: int, neighbour_share: float, most_cut: float, seed: int
) -> tuple[Ints, float]:
    """Cluster numbers (n,) and the ratio of eigenvalues that decided; NaN where all is one cluster.

    Normalised Laplacian of the symmetric nearest-neighbour graph (von Luxburg, A tutorial on spectral clustering,
    2007). Its k-th smallest eigenvalue bounds from below what it costs to cut the graph in k, so k clusters are there
    only where that is at most `most_cut`; of those, the k at which the next eigenvalue is the largest multiple.
    Differences instead of ratios see two groups in 25 maps of one wandering blob.

    Args:
        features: (n, d).
        neighbours: joined to each item, at least; `neighbour_share` of the items where that is more.
    """
    joined = min(max(neighbours, round(neighbour_share * len(features))), len(features) - 1)
    graph = kneighbors_graph(features, joined, include_self=False).toarray()
    weights = np.maximum(graph, graph.T)
    scale = 1 / np.sqrt(weights.sum(axis=1))
    laplacian = np.eye(len(weights)) - scale[:, None] * weights * scale
    values, vectors = np.linalg.eigh(laplacian)
    values = values.clip(min=1e-9)
    ratios = {k: values[k] / values[k - 1] for k in range(2, most + 1) if k < len(values) and values[k - 1] <= most_cut}
    if not ratios:
        return np.zeros(len(features), np.int64), float("nan")
    count = max(ratios, key=lambda k: ratios[k])
    embedded = vectors[:, :count] * scale[:, None]
    labels = KMeans(count, n_init=10, random_state=seed).fit_predict(embedded / embedded.std(axis=0).clip(min=1e-12))
    return np.asarray(labels, np.int64), float(ratios[count])


def _described(
    own: pd.DataFrame, maps: np.ndarray, outside: np.ndarray, labels: Ints, exemplars: int
) -> dict[str, float | str]:
    """Per cluster, that with most attribution outside first: size, outside share, exemplars, mean map."""
    order = sorted(range(labels.max() + 1), key=lambda c: -outside[labels == c].mean())
    details: dict[str, float | str] = {}
    ids = own["id"].to_numpy(object)
    for i, c in enumerate(order):
        members = np.flatnonzero(labels == c)
        mean = maps[members].mean(axis=0)
        near = members[np.argsort(((maps[members] - mean) ** 2).sum(axis=(1, 2)), kind="stable")[:exemplars]]
        side = len(mean) // MEAN_GRID
        coarse = mean.reshape(MEAN_GRID, side, MEAN_GRID, side).sum(axis=(1, 3))
        details |= {
            f"size:{i}": float(len(members)),
            f"outside_share:{i}": float(outside[members].mean()),
            f"exemplars:{i}": ", ".join(ids[near]),
            f"mean_map:{i}": " ".join(f"{v:.4f}" for v in coarse.ravel()),
        }
    return details
