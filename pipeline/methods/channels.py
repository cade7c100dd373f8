"""Three colour channels of attribution become one number per pixel."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from pipeline.types import Maps

Reduce = Literal["sum", "l2", "max_abs"]


def reduced(attribution: Tensor, how: str) -> Maps:
    """(B, C, H, W) -> (B, H, W): the signed sum, the Euclidean norm, or the largest magnitude over the channels.

    The choice changes what a map says (a sum lets opposite signs cancel), so every method records its own.
    """
    if how == "sum":
        return attribution.sum(dim=1)
    if how == "l2":
        return attribution.norm(dim=1)
    return attribution.abs().amax(dim=1)


def check_recorded(reduce: str, sign: str) -> None:
    """Raises ValueError unless both are known, and fit: a magnitude has no sign left to choose from."""
    if reduce not in get_args(Reduce):
        raise ValueError(f"`reduce` must be one of {', '.join(get_args(Reduce))}; got {reduce!r}")
    if sign not in ("positive", "absolute"):
        raise ValueError(f"`sign` must be positive or absolute, got {sign!r}")
    if reduce != "sum" and sign == "positive":
        raise ValueError(f"`reduce` {reduce!r} loses the sign, so `sign` must be absolute")
