"""Which images the report shows: a sample to look through, flagged classes' most telling ones, random controls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.core.places import CONFIRM, CONTROL, MOVING, PROBE, SEARCH, SEARCH_OWN, TELLING, Place, in_words
from pipeline.types import Evidence, Observed, Verdict

FLAGGED = ("SHORTCUT", "CONTEXT")
TELLING_PER_CLASS = 6
CONTROLS_PER_CLASS = 3
EDITS_PER_CLASS = 3  # of every intervention
CONTROLS = ("own", "own_matched", "moved", "own_moved", "over_own")  # arms that only others are compared with
UNSEEN = ("hole_control", "shared_layer")  # interventions that are not drawn: controls, and what takes several donors
STEPS = (SEARCH, SEARCH_OWN, PROBE, *CONTROL.values())  # how the arms begin that lead to a place, and their controls
MARKED = ("places", "own_places", "low_level")  # interventions that are shown only where what they move carries a class
PLAIN = ("object_removed", "outside_transplant", "companions")  # what is shown of classes that are not flagged
CLASSES_SHOWN = 40  # flagged ones first
DETAILED = ("object_removed", "object_only", "outside_transplant")  # of every image of the gallery, one picture each


def choose_drawn(labels: Sequence[str], limit: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of the images to draw, ascending: all, or at most `limit` at random, evenly spread over the classes.

    Small classes come whole; what they leave goes to the larger ones.
    """
    mixed = rng.permutation(len(labels))
    turn = pd.Series(np.asarray(labels, object)[mixed]).groupby(np.asarray(labels, object)[mixed]).cumcount()
    return np.sort(mixed[np.argsort(turn.to_numpy(), kind="stable")][:limit])


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
    """Rows of `observed.trials` with further columns `rank` and `kind`; `class` is what they are shown for.

    Of a flagged class those that went its way come first; the report prints the rate beside them. Exchanges of places
    and properties are shown of what carries the class, and of nothing else.
    """
    trials = observed.trials
    parts = [_for(trials.iloc[:0], "")]
    for verdict in _shown(verdicts):
        c = verdict.scope
        here = np.where(trials["donor_class"] == "", trials["recipient_class"] == c, trials["donor_class"] == c)
        here &= ~(trials["arm"].isin(CONTROLS) | trials["arm"].str.startswith(STEPS)).to_numpy()
        here &= ~trials["intervention"].isin(UNSEEN).to_numpy()
        if verdict.state not in FLAGGED:
            here &= trials["intervention"].isin(PLAIN).to_numpy()
        if "tested" in trials:
            here &= trials["tested"].isin(["", c])
        for intervention, group in trials[here].groupby("intervention", sort=False):
            one_arm = _one_arm(str(intervention), group, verdict, observed.frame)
            shuffled = one_arm.iloc[rng.permutation(len(one_arm))]
            if verdict.state in FLAGGED:
                away = (shuffled["predicted"] != c).to_numpy()
                shuffled = shuffled.iloc[np.argsort(away, kind="stable")]
            picked = shuffled.head(EDITS_PER_CLASS)
            parts.append(_for(picked, c))
    return pd.concat(parts, ignore_index=True)


def choose_details(observed: Observed, images: pd.DataFrame) -> pd.DataFrame:
    """Rows of `observed.trials` that show what became of the chosen `images`, as `choose_edits` gives its own.

    Per image at most one of each of `DETAILED`, of the first arm that is no control; of transplants one that changed
    the prediction, where there is one. `class` and `rank` are the image's.
    """
    trials = observed.trials
    ids = observed.images["id"].to_numpy(object)[images["row"].to_numpy(int)]
    trials = trials[
        trials["recipient"].isin(ids) & trials["intervention"].isin(DETAILED) & ~trials["arm"].isin(CONTROLS)
    ]
    later = (trials["intervention"] == "outside_transplant") & trials["stays"].astype(bool)
    # Trials come arm by arm, so that the first one left is of the first arm.
    shown = trials.iloc[np.argsort(later.to_numpy(), kind="stable")].drop_duplicates(["intervention", "recipient"])
    return (
        images.assign(recipient=ids)[["recipient", "class", "rank"]].merge(shown, on="recipient").assign(kind="detail")
    )


def _one_arm(intervention: str, trials: pd.DataFrame, verdict: Verdict, frame: tuple[int, int]) -> pd.DataFrame:
    """The trials of one intervention that show a class best: of what carries it, else of the arm that went its way."""
    if intervention in MARKED:
        shown = (_moved(e, intervention, trials, frame) for e in verdict.carried_by)
        return next((rows for rows in shown if len(rows)), trials.iloc[:0])
    went = (trials["predicted"] == verdict.scope).groupby(trials["arm"], sort=False).mean()
    return trials[trials["arm"] == went.idxmax()]


def _moved(e: Evidence, intervention: str, trials: pd.DataFrame, frame: tuple[int, int]) -> pd.DataFrame:
    """The trials of one of `MARKED` that a piece of evidence is about."""
    if intervention == "low_level" and e.role == "property":
        return trials[trials["arm"] == e.signal.partition(":")[2]]
    if intervention == "own_places" and e.role == "place" and "x0" not in e.details:
        return trials[trials["arm"].str.startswith(MOVING)]
    if intervention == "places" and e.role == "place" and "x0" in e.details:
        stage = CONFIRM if e.details["donors"] == "at random" else TELLING
        own = trials[trials["arm"].str.startswith(stage)]
        kinds = own["arm"].str.rpartition(":")[2]
        words = [
            in_words(Place(kind=str(kind), box=tuple(box)), frame)
            for kind, box in zip(kinds, own["place"], strict=True)
        ]
        return own[np.array([w == e.carrier for w in words], bool)]
    return trials.iloc[:0]


def _for(trials: pd.DataFrame, c: str) -> pd.DataFrame:
    """The same rows, ranked, for one class."""
    rows = trials.copy()
    rows["class"], rows["rank"], rows["kind"] = c, np.arange(len(rows)), "edit"
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
