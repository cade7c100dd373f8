"""The walk that shows: the few images that the report prints, and what became of them when they were changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.passes.album import Album
from pipeline.passes.attribute import attributed
from pipeline.passes.choose import choose_details, choose_edits, choose_images
from pipeline.passes.eye import Eye, Rows, generator, in_batches
from pipeline.passes.intervene import edited
from pipeline.report.pictures import file_name, write_picture
from pipeline.run.frames import Frames
from pipeline.types import Intervention, Method, Observed, Verdict

SHOWN = ("class", "kind", "rank", "predicted", "intervention", "arm", "donor")  # what a row of trials gives its picture


@dataclass(frozen=True, kw_only=True)
class Illustrator:
    """Draws the chosen images of one model; maps are computed again for those that the album lacks."""

    eye: Eye
    frames: Frames
    methods: Mapping[str, Method]
    interventions: Mapping[str, Intervention]
    observed: Observed
    album: Album
    batch_size: int

    def __call__(self, verdicts: Sequence[Verdict], seed: int) -> pd.DataFrame:
        """`pictures` of types.Results for one model."""
        images = choose_images(self.observed, verdicts, generator(seed, "images shown"))
        edits = choose_edits(self.observed, verdicts, generator(seed, "edits shown"))
        details = choose_details(self.observed, images)
        self._complete(np.concatenate([images["row"].to_numpy(int), np.array(self.album.lacking(), int)]))
        rows = [*self._images(images), *self._edits(edits), *self._edits(details)]
        return pd.DataFrame(rows).assign(model=self.observed.model)

    def _complete(self, rows: Rows) -> None:
        """Has the album draw what it lacks of these rows."""
        lacking = np.array([r for r in rows if r not in self.album], int)
        for part in in_batches(lacking, self.batch_size):
            host = self.frames.batch(part, self.eye.index)
            _, _, maps = attributed(self.eye, host.to(self.eye.classifier.device), self.methods)
            self.album.add(part, host, maps)

    def _images(self, chosen: pd.DataFrame) -> Iterator[dict[str, object]]:
        for c, kind, rank, row in zip(chosen["class"], chosen["kind"], chosen["rank"], chosen["row"], strict=True):
            shown = {"class": c, "kind": kind, "rank": rank, "heats": self.album.heats(row)}
            yield self._row(row, self.album.picture(row)) | shown

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
                    row = int(at[i])
                    named = map(file_name, (self.observed.model, str(name), str(arm)))
                    place = [f"{side:.0f}" for side in places[i] or ()]
                    path = f"edits/{'-'.join([f'{row:06d}', *named, str(giving[i]), *place])}.webp"
                    picture = self.album.press(path, write_picture, changed[i])
                    original = self.album.press(self.album.picture(row), write_picture, host.images[i])
                    shown = {str(key): trial[key] for key in SHOWN}
                    yield self._row(row, picture) | shown | {"original": original, "place": places[i]}

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
            "place": None,
        }
