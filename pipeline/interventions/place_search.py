"""Places exchanged between classes: searched on each half of the images, confirmed on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from pipeline.core.places import (
    CONFIRM,
    CONTROL,
    SEARCH,
    SEARCH_OWN,
    TELLING,
    Place,
    candidates,
    covered,
    pixels,
    stages,
)
from pipeline.interventions.regions import around_all, check_margin, holes
from pipeline.types import Batch, Box, Images

COLUMNS = ["recipient", "donor", "arm", "tested", "place", "spot"]
HALVES = (0, 1)
FREE = 0.5  # of the place that neither object may cover: less is exchanged than is told


@dataclass(frozen=True, kw_only=True)
class PlaceSearch:
    """What does a part of the frame do, taken from a class's image to another class's?

    Nothing waits for attribution: strips along the edges, corners, the frame's band and cells of a grid are tried, and
    what attribution proposes beside them. For class k on one half of the images, `first` exchanges of every place; of
    the best `kept`, `second` more; the best `confirmed` that lie apart are then exchanged on the other half. And the
    same with the halves' parts changed, so that all images confirm, none a place that it proposed.
    Every exchange has its control: the same place, taken from another image of the recipient's own class. Objects and
    their margins are never exchanged.

    The numbers of exchanges are per class, so that the search does not grow with the images. Marks on few images are
    diluted by the others: so the places are also taken from the `telling` donors of either class, those whose
    surroundings say k most once their object is removed.
    """

    margin_fraction: float
    margin_px: float
    first: int
    kept: int
    second: int
    confirmed: int
    trials: int  # per confirmed place and half
    telling: int  # per confirmed place and half
    telling_share: float  # of a class's images
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_margin(self.margin_fraction, self.margin_px)
        if min(self.first, self.kept, self.confirmed, self.trials, self.telling) < 1 or self.second < 0:
            raise ValueError(
                "`first`, `kept`, `confirmed`, `trials` and `telling` must be 1 or more, `second` 0 or more"
            )
        if not 0 < self.telling_share <= 1:
            raise ValueError(f"`telling_share` must lie in (0, 1], got {self.telling_share}")

    def plan(self, images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        """The first round: every place, a few exchanges each, on either half."""
        if images["class"].nunique() < 2:
            return pd.DataFrame([], columns=COLUMNS)
        pool = _Pool(images, around_all(images, self.margin_fraction, self.margin_px))
        rows: list[tuple] = []
        for k in pool.classes:
            for half in HALVES:
                for spot, place in enumerate(pool.candidates(k, half)):
                    rows += pool.exchanges(SEARCH, k, place, spot, self.first, half, rng)
        return pd.DataFrame(rows, columns=COLUMNS)

    def again(self, images: pd.DataFrame, trials: pd.DataFrame, turn: int, rng: np.random.Generator) -> pd.DataFrame:
        """The rounds that follow what the earlier ones showed: more of the best places, then the confirmation.

        Args:
            trials: all trials of the earlier rounds, of every intervention; those of this one have its arms.
            turn: 1, 2, ...
        """
        if turn > 2 or images["class"].nunique() < 2:
            return pd.DataFrame([], columns=COLUMNS)
        pool = _Pool(images, around_all(images, self.margin_fraction, self.margin_px))
        half_of = dict(zip(images["id"], pool.half, strict=True))
        searched = trials[trials["arm"].str.startswith((SEARCH, SEARCH_OWN))]
        halves = searched["recipient"].map(half_of)
        rows: list[tuple] = []
        for k in pool.classes:
            said = _said_without_object(trials, k, images)
            for half in HALVES:
                places = pool.candidates(k, half)
                scores = search_scores(searched[halves == half], k)
                rows += self._followed(pool, k, half, places, scores, said, turn, rng)
        return pd.DataFrame(rows, columns=COLUMNS)

    def _followed(
        self,
        pool: _Pool,
        k: str,
        half: int,
        places: Sequence[Place],
        scores: pd.Series,
        said: np.ndarray,
        turn: int,
        rng: np.random.Generator,
    ) -> list[tuple]:
        """What one half's search leads to: more exchanges on it, or the confirmation on the other one."""
        rows: list[tuple] = []
        if turn == 1:
            for spot in map(int, scores.index[: self.kept] if self.second else []):
                rows += pool.exchanges(SEARCH, k, places[spot], spot, self.second, half, rng)
            return rows
        for spot in self.chosen(scores, places, pool.frame):
            place = places[spot]
            rows += pool.exchanges(CONFIRM, k, place, spot, self.trials, 1 - half, rng)
            rows += pool.exchanges(
                TELLING, k, place, spot, self.telling, 1 - half, rng, said=said, share=self.telling_share
            )
        return rows

    def chosen(self, scores: pd.Series, places: Sequence[Place], frame: tuple[int, int]) -> list[int]:
        """The best places that lie apart; of those nearly as good as the best, the smallest."""
        left = list(scores.index[: self.kept] if self.second else scores.index)
        found: list[int] = []
        while left and len(found) < self.confirmed:
            best = max(scores[s] for s in left)
            good = [s for s in left if scores[s] >= best - 0.15 * abs(best)]
            spot = min(good, key=lambda s: places[s].area(frame))
            found.append(spot)
            left = [s for s in left if s != spot and places[s].apart(places[spot])]
        return found

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        if donors is None or recipients.places is None:
            raise ValueError("`donors` and `places` are needed for an exchange, got None")
        frame = (recipients.images.shape[-2], recipients.images.shape[-1])
        where = pixels(arm.rpartition(":")[2], recipients.places, frame)
        where &= ~holes(recipients, self.margin_fraction, self.margin_px)
        where &= ~holes(donors, self.margin_fraction, self.margin_px)
        return torch.where(where[:, None], donors.images, recipients.images)


def search_scores(trials: pd.DataFrame, k: str) -> pd.Series:
    """Place number -> how much the search speaks for it, the best first: k's probability less the control's."""
    own = trials[trials["tested"] == k]
    after = pd.Series(expit(own[f"log_odds:{k}"].to_numpy(float)))
    stage = stages(own["arm"])
    spot = own["spot"].to_numpy()
    taken, control = (after[stage == s].groupby(spot[stage == s]).mean() for s in (SEARCH, SEARCH_OWN))
    return taken.sub(control).dropna().sort_values(ascending=False, kind="stable")


def _said_without_object(trials: pd.DataFrame, k: str, images: pd.DataFrame) -> np.ndarray:
    """(n,) per image, k's log-odds once its object is removed, ranked over the fills; NaN where that was not tried."""
    removed = trials[trials["intervention"] == "object_removed"]
    removed = removed[removed["donor"] == ""]
    if removed.empty:
        return np.full(len(images), np.nan)
    ranks = removed.groupby("arm")[f"log_odds:{k}"].rank(pct=True)
    return images["id"].map(ranks.groupby(removed["recipient"]).mean()).to_numpy(float)


class _Pool:
    """The planner's view of `images`: who may give what to whom."""

    def __init__(self, images: pd.DataFrame, boxes: np.ndarray) -> None:
        self.label = images["class"].to_numpy(object)
        self.classes = list(pd.unique(self.label))
        self.right = images["correct"].to_numpy(bool)
        self.half = images["half"].to_numpy(int)
        self.frame: tuple[int, int] = images["frame"].iloc[0]
        self.boxes = boxes  # (n, 4) the box around everything that counts as object, with its margin
        hotspots = images["hotspots"].tolist() if "hotspots" in images else [[]] * len(images)
        # An image's hotspots were proposed by the other half.
        self._proposed: dict[tuple[str, int], list[Box]] = {
            (k, half): next((hotspots[r] for r in np.flatnonzero((self.label == k) & (self.half != half))), [])
            for k in self.classes
            for half in HALVES
        }

    def candidates(self, k: str, half: int) -> list[Place]:
        """The fixed places, and those that attribution on this half proposes for k."""
        return candidates(self.frame, self._proposed[k, half])

    def exchanges(
        self,
        stage: str,
        k: str,
        place: Place,
        spot: int,
        count: int,
        half: int,
        rng: np.random.Generator,
        *,
        said: np.ndarray | None = None,
        share: float = 1.0,
    ) -> list[tuple]:
        """`count` exchanges and their controls on one half of the images."""
        share_covered = np.where(self.half == half, covered(place, self.boxes, self.frame), 1.0)
        free = share_covered <= FREE
        giving = self._telling(_freest(np.flatnonzero(free & (self.label == k)), share_covered), said, share)
        taking = rng.permutation(_freest(np.flatnonzero(free & (self.label != k) & self.right), share_covered))
        if not len(giving) or not len(taking):
            return []
        taking = np.resize(taking, count)
        rows: list[tuple] = []
        own = {
            c: self._telling(_freest(np.flatnonzero(free & (self.label == c)), share_covered), said, share)
            for c in self.classes
        }
        for recipient, donor in zip(taking, _dealt(giving, count, rng), strict=True):
            partners = own[self.label[recipient]]
            partners = partners[partners != recipient]
            if not len(partners):
                continue
            rows.append((recipient, donor, stage + place.kind, k, place.box, spot))
            rows.append((recipient, int(rng.choice(partners)), CONTROL[stage] + place.kind, k, place.box, spot))
        return rows

    def _telling(self, rows: np.ndarray, said: np.ndarray | None, share: float) -> np.ndarray:
        """The share of these rows (at least four) whose surroundings say the class most."""
        if said is None or not len(rows):
            return rows
        order = rows[np.argsort(-np.nan_to_num(said[rows], nan=-1.0), kind="stable")]
        return order[: max(4, round(share * len(order)))]


def _freest(rows: np.ndarray, share_covered: np.ndarray) -> np.ndarray:
    """The rows in which the place is wholly free, or the freer half where that is more; at least eight if there are."""
    order = rows[np.argsort(share_covered[rows], kind="stable")]
    wholly = int((share_covered[order] <= 0.02).sum())
    return order[: max(wholly, len(order) // 2, 8)]


def _dealt(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of the rows, each about equally often, in random order."""
    rounds = -(-count // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:count]
