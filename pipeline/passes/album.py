"""The album: pictures of chosen images, drawn from the maps of the walk that looks at them anyway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.core.maps import positive, speaks
from pipeline.passes.eye import Rows
from pipeline.report.pictures import file_name, shrunk, write_heat, write_mask, write_picture
from pipeline.report.press import Press
from pipeline.run.frames import Frames
from pipeline.types import Batch, Maps

COLUMNS = ["model", "row", "id", "picture", "mask", "heats"]
HEAT_SIDE = 112  # pixels of a heat map's larger side: more is not seen on a photograph's thumbnail, and costs files


@dataclass(frozen=True, kw_only=True)
class Album:
    """One model's pictures: per image a photograph, its object mask where that came from a mask, a heat map per method.

    Called with a batch and its maps, it draws those images that are among `ids`. Photographs and masks are shared by
    the models of a run; row numbers name the files, since ids may hold anything.
    """

    model: str
    ids: frozenset[str]
    frames: Frames
    press: Press
    side: int = HEAT_SIDE
    _drawn: dict[int, tuple[str, ...]] = field(default_factory=dict, init=False)  # row -> methods that have a heat map

    def __call__(self, rows: Rows, host: Batch, maps: Mapping[str, Maps]) -> None:
        """Draws the chosen images of a batch: its rows, its pixels on the host, its oriented maps on the device."""
        self._draw([i for i, name in enumerate(host.ids) if name in self.ids], rows, host, maps)

    def add(self, rows: Rows, host: Batch, maps: Mapping[str, Maps]) -> None:
        """Draws all images of a batch, chosen or not."""
        self._draw(range(len(rows)), rows, host, maps)

    def __contains__(self, row: int) -> bool:
        return row in self._drawn

    def drawn(self, start: int) -> dict[int, tuple[str, ...]]:
        """The methods that have a heat map of every row drawn from `start` on, once all that is drawn is on disk."""
        self.press.settle()
        return {row: methods for row, methods in self._drawn.items() if row >= start}

    def take_up(self, drawn: Mapping[str, Sequence[str]]) -> None:
        """Rows that an earlier process drew into the same folder, if their files are there."""
        for row, methods in drawn.items():
            at = int(row)
            self._drawn[at] = tuple(methods)
            files = [self.picture(at), self._mask(at), *self.heats(at).values()]
            if not all(self.press.wrote(file) for file in files if file):
                del self._drawn[at]

    def lacking(self) -> list[int]:
        """The rows among `ids` that are not drawn."""
        return [row for row, name in enumerate(self.frames.ids) if name in self.ids and row not in self._drawn]

    def picture(self, row: int) -> str:
        """The path of a row's photograph, relative to the report."""
        return f"pictures/{row:06d}.webp"

    def heats(self, row: int) -> dict[str, str]:
        """Method -> path of a drawn row's heat map, relative to the report; a map that says nothing has none."""
        return {m: f"maps/{file_name(self.model)}/{file_name(m)}/{row:06d}.webp" for m in self._drawn[row]}

    def table(self) -> pd.DataFrame:
        """`album` of types.Results for one model, in the order of the images."""
        rows = [
            (self.model, r, self.frames.ids[r], self.picture(r), self._mask(r), self.heats(r))
            for r in sorted(self._drawn)
        ]
        return pd.DataFrame(rows, columns=COLUMNS)

    def _draw(self, wanted: Sequence[int], rows: Rows, host: Batch, maps: Mapping[str, Maps]) -> None:
        # A batch that runs out of memory after it was drawn is seen again in halves: what is drawn stays.
        picked = [i for i in wanted if int(rows[i]) not in self._drawn]
        if not picked:
            return
        masses = self._masses(maps, picked)
        for n, i in enumerate(picked):
            row = int(rows[i])
            own = {m: mass[n] for m, mass in zip(maps, masses, strict=True) if _shows(mass[n])}
            self._drawn[row] = tuple(own)
            self.press(self.picture(row), write_picture, host.images[i])
            if path := self._mask(row):
                self.press(path, write_mask, host.inside[i])
            for method, path in self.heats(row).items():
                self.press(path, write_heat, own[method])

    def _masses(self, maps: Mapping[str, Maps], picked: Sequence[int]) -> Tensor:
        """(M, n, h, w) on the host, in one transfer: what is drawn of the picked maps, NaN where they say nothing."""
        if not maps:
            return torch.empty(0, len(picked), 1, 1)
        small = []
        for own in maps.values():
            chosen = own if len(picked) == len(own) else own[torch.tensor(picked, device=own.device)]
            mass = torch.where(speaks(chosen)[:, None, None], positive(chosen), torch.nan)
            small.append(shrunk(mass, self.side))
        return torch.stack(small).cpu()

    def _mask(self, row: int) -> str:
        return f"pictures/{row:06d}-mask.png" if self.frames.region_kinds[row] == "mask" else ""


def _shows(mass: Tensor) -> bool:
    """Whether there is something to draw; averaging may have lost it."""
    values = mass.numpy()
    return bool(np.isfinite(values).all() and values.max() > 0)
