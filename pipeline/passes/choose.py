"""Which images the report shows: a flagged class's most telling ones, and random ones as a control."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.types import Observed, Verdict

FLAGGED = ("SHORTCUT", "CONTEXT")
TELLING_PER_CLASS = 6
CONTROLS_PER_CLASS = 3
EDITS_PER_CLASS = 3  # of every intervention
CONTROLS = (
    "own",
    "own_matched",
    "moved",
    "own_moved",
    "in_neutral",
    "elsewhere",
    "out_own",
    "peak_neutral",
)  # arms that only others are compared with
PLAIN = ("object_removed", "outside_transplant", "companions")  # what is shown of classes that are not flagged
CLASSES_SHOWN = 40  # flagged ones first


def choose_images(observed: Observed, verdicts: Sequence[Verdict], rng: np.random.Generator) -> pd.DataFrame:
    """Columns class, kind (`telling` for flagged classes, `control`), rank, row (of `observed.images`)."""
    labels = observed.images["class"].to_numpy(object)
    order = _telling(observed)
    chosen = []
    for verdict in _shown(verdicts):
        rows = np.flatnonzero(labels == verdict.scope)
        count = TELLING_PER_CLASS if verdict.state in FLAGGED else 0
        best = rows[np.argsort(order[rows], kind="stable")][:count]
        random = rng.permutation(np.setdiff1d(rows, best))[:CONTROLS_PER_CLASS]
        for kind, picked in (("telling", best), ("control", random)):
            chosen += [(verdict.scope, kind, rank, row) for rank, row in enumerate(picked)]
    return pd.DataFrame(chosen, columns=["class", "kind", "rank", "row"])


def choose_edits(observed: Observed, verdicts: Sequence[Verdict], rng: np.random.Generator) -> pd.DataFrame:
    """Rows of `observed.trials` with a further column `rank`; their `class` is the class that they are shown for.

    Of a flagged class those that went its way come first; the report prints the rate beside them.
    """
    trials = observed.trials
    parts = [_for(trials.iloc[:0], "")]
    for verdict in _shown(verdicts):
        c = verdict.scope
        here = np.where(trials["donor_class"] == "", trials["recipient_class"] == c, trials["donor_class"] == c)
        here &= ~trials["arm"].isin(CONTROLS).to_numpy()
        if verdict.state not in FLAGGED:
            here &= trials["intervention"].isin(PLAIN).to_numpy()
        if "tested" in trials:
            here &= trials["tested"].isin(["", c])
        for _, group in trials[here].groupby("intervention", sort=False):
            went = (group["predicted"] == c).groupby(group["arm"], sort=False).mean()
            one_arm = group[group["arm"] == went.idxmax()]
            shuffled = one_arm.iloc[rng.permutation(len(one_arm))]
            if verdict.state in FLAGGED:
                away = (shuffled["predicted"] != c).to_numpy()
                shuffled = shuffled.iloc[np.argsort(away, kind="stable")]
            picked = shuffled.head(EDITS_PER_CLASS)
            parts.append(_for(picked, c))
    return pd.concat(parts, ignore_index=True)


def _for(trials: pd.DataFrame, c: str) -> pd.DataFrame:
    """The same rows, ranked, for one class."""
    rows = trials.copy()
    rows["class"], rows["rank"] = c, np.arange(len(rows))
    return rows


def _shown(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The classes' verdicts, flagged ones first, capped."""
    return sorted(verdicts[1:], key=lambda v: v.state not in FLAGGED)[:CLASSES_SHOWN]


def _telling(observed: Observed) -> np.ndarray:
    """Per image, smaller where it speaks for a shortcut: called right without its object, attribution outside."""
    ids, trials = observed.images["id"], observed.trials
    removed = trials[trials["intervention"] == "object_removed"]
    right = (removed["predicted"] == removed["recipient_class"]).groupby(removed["recipient"]).mean()
    order = -10 * ids.map(right).fillna(0).to_numpy(float)
    if "inside_share" in observed.scores:
        order += ids.map(observed.scores.groupby("id")["inside_share"].mean()).fillna(1).to_numpy(float)
    return order
