"""The walk that changes images and looks again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from pipeline.core.stats import Floats
from pipeline.passes.columns import Columns
from pipeline.passes.eye import Eye, Rows, generator, halved, in_batches, log_odds, to_host
from pipeline.run.frames import Frames
from pipeline.run.parts import begun
from pipeline.types import Batch, Box, Intervention

log = logging.getLogger("pipeline")
TRIALS = [
    "intervention",
    "arm",
    "recipient",
    "donor",
    "recipient_class",
    "donor_class",
    "predicted",
    "stays",
    "probability_before",
    "probability_after",
    "logit_change",
    "changed_fraction",
    "tested",
    "place",
    "spot",
]


@runtime_checkable
class Searching(Protocol):
    """An intervention that plans again, from what its earlier rounds showed (see types.Intervention)."""

    def again(
        self, images: pd.DataFrame, trials: pd.DataFrame, turn: int, rng: np.random.Generator
    ) -> pd.DataFrame: ...


def intervene(
    eye: Eye,
    frames: Frames,
    images: pd.DataFrame,
    interventions: Mapping[str, Intervention],
    *,
    name: str,
    seed: int,
    batch_size: int,
    parts: Path | None = None,
) -> pd.DataFrame:
    """Plans every intervention, changes the images, looks again: `trials` of types.Observed.

    Interventions that search (`again`) plan further rounds from what the earlier ones showed. `images` has one row per
    row of `frames`, in the same order. In `parts` the walk lays down what it finished, and goes on from there.
    """
    rounds: list[pd.DataFrame] = []
    plan = _planned(images, interventions, seed)
    while len(plan):
        at = None if parts is None else parts / str(len(rounds))
        rounds.append(_walked(eye, frames, images, interventions, plan, name=name, batch_size=batch_size, parts=at))
        trials = pd.concat(rounds, ignore_index=True) if len(rounds) > 1 else rounds[0]
        plan = _planned(images, interventions, seed, trials, len(rounds))
    return trials if rounds else pd.DataFrame(columns=TRIALS)


def _walked(
    eye: Eye,
    frames: Frames,
    images: pd.DataFrame,
    interventions: Mapping[str, Intervention],
    plan: pd.DataFrame,
    *,
    name: str,
    batch_size: int,
    parts: Path | None,
) -> pd.DataFrame:
    """One round's plan carried out."""
    if parts is not None and (why := begun(parts, {"plan": _digest(plan)})):
        log.warning("%s: all changes are made again: %s", name, why)
    found = Columns(parts)
    done, start = len(found), 0
    with tqdm(total=len(plan), initial=done, desc=f"{name}: changing", unit="image", disable=None) as bar:
        for (key, arm), group in plan.groupby(["intervention", "arm"], sort=False):

            def look(rows: Rows, group: pd.DataFrame = group, key: str = str(key), arm: str = str(arm)) -> None:
                part = group.iloc[rows]
                found.add(_looked(eye, frames, interventions[key], part, arm))
                bar.update(len(part))

            # Parts end where batches end, so that what is left comes in the batches that it would have come in.
            for rows in in_batches(np.arange(len(group)), batch_size):
                if start + rows[0] >= done:
                    halved(look, rows)
                if found.due:
                    found.keep()
            start += len(group)
    found.keep()
    return _trials(eye, images, plan, found.columns())


def _digest(plan: pd.DataFrame) -> str:
    """Tells plans apart; places follow from the rest and the images."""
    told = plan[["intervention", "arm", "recipient", "donor", "tested", "spot"]]
    return hashlib.sha256(pd.util.hash_pandas_object(told, index=False).to_numpy().tobytes()).hexdigest()


def _planned(
    images: pd.DataFrame,
    interventions: Mapping[str, Intervention],
    seed: int,
    trials: pd.DataFrame | None = None,
    turn: int = 0,
) -> pd.DataFrame:
    """One round's plans, every arm of an intervention in one piece, in the order in which they are carried out."""
    plans = []
    for key, intervention in interventions.items():
        if trials is None:
            plans.append(intervention.plan(images, generator(seed, key)).assign(intervention=key))
        elif isinstance(intervention, Searching):
            rng = generator(seed, f"{key} {turn}")
            plans.append(intervention.again(images, trials, turn, rng).assign(intervention=key))
    some = [plan for plan in plans if len(plan)]
    if not some:
        return pd.DataFrame()
    plan = _completed(pd.concat(some, ignore_index=True))
    together = plan.groupby(["intervention", "arm"], sort=False).ngroup().to_numpy()
    return plan.iloc[np.argsort(together, kind="stable")]


def _completed(plan: pd.DataFrame) -> pd.DataFrame:
    """The plan with every column of `PLAN`: most interventions serve all classes and name no place."""
    added = [c for c in ("tested", "place", "spot", "group") if c not in plan]
    plan = plan.reindex(columns=[*plan.columns, *added])
    places, groups = plan["place"].astype(object), plan["group"].astype(object)
    return plan.assign(
        tested=plan["tested"].astype(object).fillna(""),
        place=places.where(places.notna(), None),
        spot=plan["spot"].fillna(-1).astype(int),
        group=groups.where(groups.notna(), None),
    )


def edited(
    eye: Eye,
    frames: Frames,
    intervention: Intervention,
    recipients: Rows,
    donors: Rows,
    arm: str,
    places: Sequence[Box | None],
    groups: Sequence[tuple[int, ...] | None] = (),
) -> tuple[Batch, Tensor]:
    """The recipients' batch on the device and its changed images; `groups` names each recipient's donors if several."""
    device = eye.classifier.device
    host = frames.batch(recipients, eye.index)
    several = [group for group in groups if group is not None]
    if several:
        distinct = list(dict.fromkeys(several))
        donors = np.array(distinct).ravel()
        host = replace(host, groups=tuple(distinct.index(group) for group in several))
    if all(place is not None for place in places):
        host = replace(host, places=torch.tensor(list(places), dtype=torch.float32))
    batch = host.to(device)
    giving = frames.batch(donors, eye.index).to(device) if (donors >= 0).all() else None
    return batch, intervention.edit(batch, giving, arm)


def _looked(
    eye: Eye, frames: Frames, intervention: Intervention, plan: pd.DataFrame, arm: str
) -> dict[str, np.ndarray]:
    """What the model says of some changed images, in numbers."""
    recipients, donors = plan["recipient"].to_numpy(), plan["donor"].to_numpy()
    places, groups = plan["place"].tolist(), plan["group"].tolist()
    batch, changed = edited(eye, frames, intervention, recipients, donors, arm, places, groups)
    logits = eye.classifier(changed)
    at = batch.labels[:, None]
    columns = {
        "predicted": logits.argmax(dim=1),
        "probability_after": logits.double().softmax(dim=1).gather(1, at)[:, 0],
        "logit": logits.gather(1, at)[:, 0],
        "changed_fraction": (changed != batch.images).any(dim=1).double().mean(dim=(1, 2)),
    }
    odds = log_odds(logits).index_select(1, eye.columns)
    numbers = to_host(columns | {f"log_odds:{c}": odds[:, i] for i, c in enumerate(eye.classes)})
    # One for every class: most of all there is, and stored in single precision too.
    return {name: values.astype(np.float32) if name not in columns else values for name, values in numbers.items()}


def _trials(eye: Eye, images: pd.DataFrame, plan: pd.DataFrame, found: dict[str, Floats]) -> pd.DataFrame:
    """The plan with what was seen, row by row."""
    recipients, donors = plan["recipient"].to_numpy(), plan["donor"].to_numpy()
    predicted = eye.names[found.pop("predicted").astype(int)]
    logit = found.pop("logit")
    ids, labels, said = (images[c].to_numpy(object) for c in ("id", "class", "predicted"))
    given = donors >= 0
    return pd.DataFrame(
        {
            "intervention": plan["intervention"].to_numpy(object),
            "arm": plan["arm"].to_numpy(object),
            "recipient": ids[recipients],
            "donor": np.where(given, ids[donors], ""),
            "recipient_class": labels[recipients],
            "donor_class": np.where(given, labels[donors], ""),
            "predicted": predicted,
            "stays": predicted == said[recipients],
            "probability_before": images["probability"].to_numpy()[recipients],
            "logit_change": logit - images["logit"].to_numpy()[recipients],
            "tested": plan["tested"].to_numpy(object),
            "place": plan["place"].to_numpy(object),
            "spot": plan["spot"].to_numpy(),
            **found,
        },
        copy=False,
    )
