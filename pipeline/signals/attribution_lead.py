"""L1 and L2, the attribution lead: how much of it falls on the objects, and where the rest gathers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.ndimage import uniform_filter

from pipeline.core.stats import percentile_interval
from pipeline.types import Evidence, Observed


@dataclass(frozen=True, kw_only=True)
class AttributionLead:
    """Per class and method: the mean inside share beside its references, and the class's hotspot.

    The hotspot is the window where the class's mean map of outside attribution exceeds the mean of the other classes'
    most. It localises; harmless bright marks attract attribution in honest models too, so it never decides.
    """

    window: float  # side of the hotspot, as a share of the frame's shorter side
    draws: int  # bootstrap samples
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not 0 < self.window <= 1:
            raise ValueError(f"`window` must lie in (0, 1], got {self.window}")

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]:
        if "inside_share" not in observed.scores:
            return []
        return [self._evidence(k, m, observed, rng) for k in observed.classes for m in observed.outside_maps]

    def _evidence(self, k: str, method: str, observed: Observed, rng: np.random.Generator) -> Evidence:
        scores = observed.scores
        own = scores[(scores["class"] == k) & (scores["method"] == method)]
        shares = own["inside_share"].dropna().to_numpy(float)
        area = observed.images.loc[observed.images["class"] == k, "area_fraction"].mean()
        low, high = _mean_interval(shares, self.draws, rng)
        return Evidence(
            signal=f"attribution_lead:{method}",
            class_name=k,
            estimate=float(shares.mean()) if len(shares) else float("nan"),
            low=low,
            high=high,
            unit="inside share",
            p_value=float("nan"),
            n=len(shares),
            n_others=int((observed.images["class"] != k).sum()),
            detectable=float("nan"),
            role="lead",
            version=self.version,
            details={
                "method": method,
                "area_fraction": float(area),
                "lift": _mean(own["lift"]),
                "lift_of_others": _mean(scores.loc[(scores["class"] != k) & (scores["method"] == method), "lift"]),
                **referred(observed.references, k, method),
                **hotspot(observed.outside_maps[method], observed.classes.index(k), self.window),
            },
        )


def referred(references: pd.DataFrame | None, k: str, method: str) -> dict[str, float | str]:
    """What a class's inside share is compared with (see passes/refer.py); empty where no references were made.

    Returns:
        `own_sampled`, the share on the sample that the others are from; `shuffled_boxes`; `random_weights`; and with a
        bank, of its n models, `bank_n`, `bank_low`, `bank_middle` and `bank_high` (least, median, largest).
    """
    if references is None:
        return {}
    rows = references[(references["class"] == k) & (references["method"] == method)]
    shares = rows.set_index("reference")["inside_share"].dropna()
    names = {"own": "own_sampled", "shuffled_boxes": "shuffled_boxes", "random_weights": "random_weights"}
    found: dict[str, float | str] = {name: float(shares.get(key, np.nan)) for key, name in names.items()}
    bank = shares[[str(name).startswith("bank:") for name in shares.index]]
    if len(bank):
        found |= {"bank_n": float(len(bank)), "bank_low": float(bank.min()), "bank_high": float(bank.max())}
        found["bank_middle"] = float(bank.median())
    return found


def hotspot(maps: np.ndarray, k: int, window: float) -> dict[str, float | str]:
    """Where class k's outside attribution gathers, against the other classes'.

    Args:
        maps: (C, H, W) mean outside attribution per class.
        window: side of the window, as a share of the shorter side.

    Returns:
        x0, y0, x1, y1 in pixels of the frame; place in words; `share` of the class's outside attribution that lies in
        the window and `others_share`, the same for the mean of the other classes. Empty for a class without any.
    """
    own = maps[k]
    others = np.delete(maps, k, axis=0).mean(axis=0) if len(maps) > 1 else np.zeros_like(own)
    if not own.sum() > 0:
        return {}
    height, width = own.shape
    side = max(1, round(window * min(height, width)))
    contrast = _window_sums(own - others, side)
    y, x = np.unravel_index(int(contrast.argmax()), contrast.shape)
    cut = (slice(y, y + side), slice(x, x + side))
    return {
        "x0": float(x),
        "y0": float(y),
        "x1": float(x + side),
        "y1": float(y + side),
        "place": place((x + side / 2) / width, (y + side / 2) / height),
        "share": float(own[cut].sum() / own.sum()),
        "others_share": float(others[cut].sum() / others.sum()) if others.sum() > 0 else float("nan"),
    }


def place(x: float, y: float) -> str:
    """A point of the unit frame in words, on a grid of three by three."""
    across = ("left", "", "right")[min(int(x * 3), 2)]
    down = ("top", "", "bottom")[min(int(y * 3), 2)]
    return f"{down} {across}".strip() or "centre"


def _window_sums(values: np.ndarray, side: int) -> np.ndarray:
    """(H - side + 1, W - side + 1): sums over all windows that lie in the frame, by their top left corner."""
    sums = uniform_filter(values.astype(np.float64), side, mode="constant", origin=-(side // 2)) * side**2
    return sums[: values.shape[0] - side + 1, : values.shape[1] - side + 1]


def _mean_interval(values: np.ndarray, draws: int, rng: np.random.Generator) -> tuple[float, float]:
    if len(values) < 2:  # one image says nothing about how images differ
        return float("nan"), float("nan")
    counts = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=draws)
    return percentile_interval(counts @ values / len(values))


def _mean(values: pd.Series) -> float:
    return float(values.mean()) if values.notna().any() else float("nan")
