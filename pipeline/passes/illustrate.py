"""The walk that shows: pictures and heat maps of the few images that the report prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.maps import positive
from pipeline.passes.attribute import attributed
from pipeline.passes.choose import choose_edits, choose_images
from pipeline.passes.eye import Eye, generator, in_batches
from pipeline.passes.intervene import edited
from pipeline.report.pictures import write_heat, write_picture
from pipeline.run.frames import Frames
from pipeline.types import Intervention, Method, Observed, Verdict

SHOWN = ("class", "rank", "predicted", "intervention", "arm", "donor")  # what a row of trials gives its picture


@dataclass(frozen=True, kw_only=True)
class Illustrator:
    """Draws the chosen images of one model into `folder`/pictures; maps are computed again, not kept for all images."""

    eye: Eye
    frames: Frames
    methods: Mapping[str, Method]
    interventions: Mapping[str, Intervention]
    observed: Observed
    folder: Path
    batch_size: int

    def __call__(self, verdicts: Sequence[Verdict], seed: int) -> pd.DataFrame:
        """`pictures` of types.Results for one model."""
        images = choose_images(self.observed, verdicts, generator(seed, "images shown"))
        edits = choose_edits(self.observed, verdicts, generator(seed, "edits shown"))
        return pd.DataFrame([*self._images(images), *self._edits(edits)]).assign(model=self.observed.model)

    def _images(self, chosen: pd.DataFrame) -> Iterator[dict[str, object]]:
        for piece in in_batches(np.arange(len(chosen)), self.batch_size):
            part = chosen.iloc[piece]
            rows = part["row"].to_numpy(int)
            host = self.frames.batch(rows, self.eye.index)
            batch = host.to(self.eye.classifier.device)
            _, _, maps = attributed(self.eye, batch, self.methods)
            heats = {name: positive(own).cpu() for name, own in maps.items()}
            for i, (c, kind, rank) in enumerate(zip(part["class"], part["kind"], part["rank"], strict=True)):
                stem = _stem(rows[i])
                write_picture(host.images[i], self.folder / f"{stem}.webp")
                paths = {name: f"{stem}-{self.observed.model}-{name}.webp" for name in heats}
                for name, path in paths.items():
                    write_heat(heats[name][i], self.folder / path)
                yield self._row(rows[i], f"{stem}.webp") | {"class": c, "kind": kind, "rank": rank, "heats": paths}

    def _edits(self, trials: pd.DataFrame) -> Iterator[dict[str, object]]:
        position = pd.Series(np.arange(len(self.observed.images)), index=self.observed.images["id"])
        for (name, arm), group in trials.groupby(["intervention", "arm"], sort=False):
            recipients = position[group["recipient"]].to_numpy()
            donors = np.array([position[d] if d else -1 for d in group["donor"]])
            for piece in in_batches(np.arange(len(group)), self.batch_size):
                at, giving = recipients[piece], donors[piece]
                host = self.frames.batch(at, self.eye.index)
                places = group["place"].iloc[piece].tolist()
                intervention = self.interventions[str(name)]
                changed = edited(self.eye, self.frames, intervention, at, giving, str(arm), places)[1].cpu()
                for i, (_, trial) in enumerate(group.iloc[piece].iterrows()):
                    original = f"{_stem(at[i])}.webp"
                    picture = f"{_stem(at[i])}-{self.observed.model}-{name}-{arm}-{giving[i]}.webp"
                    write_picture(host.images[i], self.folder / original)
                    write_picture(changed[i], self.folder / picture)
                    shown = {str(key): trial[key] for key in SHOWN}
                    yield self._row(at[i], picture) | shown | {"kind": "edit", "original": original}

    def _row(self, row: int, picture: str) -> dict[str, object]:
        image = self.observed.images.iloc[row]
        height, width = self.observed.frame
        return {
            "id": image["id"],
            "picture": picture,
            "width": width,
            "height": height,
            "boxes": image["boxes"],
            "heats": {},
            "caption": f"{image['id']}, called {image['predicted']}",
            "predicted": image["predicted"],
            "intervention": "",
            "arm": "",
            "donor": "",
            "original": "",
        }


def _stem(row: int) -> str:
    """Row numbers name the files: ids may hold anything."""
    return f"pictures/{row:06d}"
