"""Changed images in rounds: asked again until nobody plans, taken up from parts, and marks found end to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from pipeline.core.lowlevel import shared_layer
from pipeline.core.pixels import mean_fill
from pipeline.core.places import CONFIRM, MOVING, SEARCH, Place, in_words, stages
from pipeline.interventions.own_places import OwnPlaces
from pipeline.interventions.place_search import PlaceSearch
from pipeline.interventions.removal import ObjectRemoved
from pipeline.interventions.shared_layer import SharedLayer
from pipeline.methods.gradients import InputXGradient
from pipeline.passes import columns
from pipeline.passes.columns import Columns
from pipeline.passes.decode import Stock
from pipeline.passes.eye import Eye
from pipeline.passes.intervene import TRIALS, edited, intervene
from pipeline.passes.observe import observe
from pipeline.signals.places import Places
from pipeline.signals.properties import LAYER, Properties
from pipeline.types import Batch, Evidence, Example, Images, Intervention, Observed
from tests.studies import example, stocked
from tests.worlds import CLASSES, SIDE, CornerReader, ObjectReader

METHODS = {"input_x_gradient": InputXGradient(reduce="sum", sign="absolute")}
MARGINS = {"margin_fraction": 0.1, "margin_px": 1}
REMOVED = ObjectRemoved(**MARGINS, fills=["smooth", "blur"])
SEARCHING = PlaceSearch(
    **MARGINS, first=4, kept=4, second=8, confirmed=1, trials=24, telling=12, telling_share=0.25
)  # fmt: skip
PER_CLASS = 24


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Plans as many images in each further round as it is told, and notes what it was shown."""

    rounds: tuple[int, ...]
    arms: tuple[str, ...] = ("one", "two")
    asked: list[tuple[int, int, float]] = field(default_factory=list)
    version: ClassVar[int] = 1

    def plan(self, images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        return self._rows(images, self.rounds[0], rng)

    def again(self, images: pd.DataFrame, trials: pd.DataFrame, turn: int, rng: np.random.Generator) -> pd.DataFrame:
        self.asked.append((turn, len(trials), float(rng.uniform())))
        return self._rows(images, self.rounds[turn] if turn < len(self.rounds) else 0, rng)

    def _rows(self, images: pd.DataFrame, count: int, rng: np.random.Generator) -> pd.DataFrame:
        rows = [(r, -1, arm) for r in rng.permutation(len(images))[:count] for arm in self.arms]
        return pd.DataFrame(rows, columns=["recipient", "donor", "arm"])

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        return mean_fill(recipients.images, recipients.inside if arm == "one" else ~recipients.inside)


class Blot(nn.Module):
    """The honest reader, but red where any patch of the mark's size is white, by degrees."""

    def __init__(self) -> None:
        super().__init__()
        self.honest = ObjectReader()

    def forward(self, images: Tensor) -> Tensor:
        white = nn.functional.avg_pool2d(images.amin(dim=1, keepdim=True), 4, stride=1).amax(dim=(1, 2, 3))
        return torch.cat([100 * (white - 0.65).clamp(min=0)[:, None] - 2, self.honest(images)[:, 1:]], dim=1)


class Edge(nn.Module):
    """The honest reader, but red where the two columns at the left edge are white."""

    def __init__(self) -> None:
        super().__init__()
        self.honest = ObjectReader()

    def forward(self, images: Tensor) -> Tensor:
        white = images[:, :, :, :2].mean(dim=(1, 2, 3))[:, None]
        return torch.cat([400 * (white - 0.8).clamp(min=0) - 2, self.honest(images)[:, 1:]], dim=1)


PATTERN = torch.zeros(SIDE, SIDE)
PATTERN[2::6, :] = PATTERN[:, 3::7] = 1.0


class Grid(nn.Module):
    """The honest reader, but red where thin lines of a grid are brighter than what is beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.honest = ObjectReader()

    def forward(self, images: Tensor) -> Tensor:
        on, off = PATTERN / PATTERN.sum(), (1 - PATTERN) / (1 - PATTERN).sum()
        lines = (images.mean(dim=1) * (on - off)).sum(dim=(1, 2))[:, None]
        return torch.cat([400 * (lines - 0.1).clamp(min=0) - 2, self.honest(images)[:, 1:]], dim=1)


Paint = Callable[[np.ndarray, tuple[int, ...], np.random.Generator], None]  # pixels (H, W, 3), the object's box


def world(network: nn.Module, folder: Path, paint: Paint) -> tuple[Eye, Stock]:
    """The planted world; the red class's pictures are painted upon."""
    every: list[Example] = []
    for label in range(4):
        for i in range(PER_CLASS):
            one = example(label, i)
            if label == 0:
                pixels = one.image.permute(1, 2, 0).numpy().copy()
                paint(pixels, tuple(int(v) for v in one.boxes[0]), np.random.default_rng([7, i]))
                one = replace(one, image=torch.from_numpy(pixels).permute(2, 0, 1).contiguous())
            every.append(one)
    eye, _ = stocked(network, folder / "unused", 1)
    return eye, Stock(lambda start: iter(every[start:]), len(every), (SIDE, SIDE), folder / "frames")


def looked(eye: Eye, stock: Stock, interventions: dict[str, Intervention], **more: object) -> Observed:
    """All that Places and Properties read."""
    observer, _ = observe(eye, stock, METHODS, {}, name="m", batch_size=32)
    images, _, _ = observer.tables(stock.facts)
    trials = intervene(eye, stock.frames, images, interventions, name="m", seed=0, batch_size=32, **more)  # type: ignore[arg-type]
    return Observed(
        model="m", classes=CLASSES, n_outputs=4, frame=(SIDE, SIDE), images=images, scores=pd.DataFrame(),
        trials=trials, outside_maps={},
    )  # fmt: skip


def by_name(found: list[Evidence]) -> dict[tuple[str, str], Evidence]:
    return {(e.class_name, e.signal): e for e in found}


PLACES = Places(draws=199, gate=0.15, floor=0.02, per_area=3.5, most=0.65, alpha=0.005)
PROPERTIES = Properties(
    draws=199, max_other_classes=5, alpha=0.005, alone={}, floor=0.0, layer_gate=0.15, telling_share=0.25
)  # fmt: skip


@pytest.fixture
def small(tmp_path: Path) -> tuple[Eye, Stock, pd.DataFrame]:
    eye, stock = stocked(ObjectReader(), tmp_path / "frames", 5)
    observer, _ = observe(eye, stock, METHODS, {}, name="m", batch_size=32)
    return eye, stock, observer.tables(stock.facts)[0]


def test_it_is_asked_again_until_nothing_is_planned(small: tuple[Eye, Stock, pd.DataFrame]) -> None:
    """Each time with all that was seen before, of others too; who plans nothing is asked once more with the others."""
    eye, stock, images = small
    short, long = Asking(rounds=(2, 1)), Asking(rounds=(3, 4, 0, 2))
    trials = intervene(
        eye, stock.frames, images, {"short": short, "removed": REMOVED, "long": long}, name="m", seed=0, batch_size=4
    )
    # first 4 + 40 + 6 trials, then 2 + 8, then nobody: what `long` would plan after its pause is not asked for
    assert [(turn, shown) for turn, shown, _ in short.asked] == [(1, 50), (2, 60)]
    assert short.asked != long.asked
    assert [(turn, shown) for turn, shown, _ in long.asked] == [(1, 50), (2, 60)]
    assert trials["intervention"].value_counts().to_dict() == {"removed": 40, "long": 14, "short": 6}
    assert len({r for _, _, r in [*short.asked, *long.asked]}) == 4  # a generator of its own each time
    assert set(TRIALS) <= set(trials.columns)


def test_the_order_of_a_round_is_by_intervention_and_arm(small: tuple[Eye, Stock, pd.DataFrame]) -> None:
    eye, stock, images = small
    trials = intervene(eye, stock.frames, images, {"a": Asking(rounds=(3, 2))}, name="m", seed=0, batch_size=2)
    assert trials["arm"].tolist() == ["one"] * 3 + ["two"] * 3 + ["one"] * 2 + ["two"] * 2


def test_nothing_planned_leaves_an_empty_table(small: tuple[Eye, Stock, pd.DataFrame]) -> None:
    eye, stock, images = small
    trials = intervene(eye, stock.frames, images, {"a": Asking(rounds=(0, 5))}, name="m", seed=0, batch_size=2)
    assert len(trials) == 0
    assert list(trials.columns) == TRIALS


def test_batches_and_other_interventions_change_no_number(small: tuple[Eye, Stock, pd.DataFrame]) -> None:
    eye, stock, images = small
    searching: dict[str, Intervention] = {"removed": REMOVED, "places": SEARCHING}
    whole, single, more = (
        intervene(eye, stock.frames, images, plans, name="m", seed=0, batch_size=size)
        for plans, size in ((searching, 64), (searching, 7), (searching | {"a": Asking(rounds=(2, 2))}, 64))
    )
    pd.testing.assert_frame_equal(whole, single, rtol=1e-4, atol=1e-5)
    own = more[more["intervention"] != "a"].reset_index(drop=True)
    pd.testing.assert_frame_equal(whole, own, rtol=1e-4, atol=1e-5)


def test_every_recipient_is_given_the_layer_of_its_own_group(small: tuple[Eye, Stock, pd.DataFrame]) -> None:
    eye, stock, _ = small
    first, second = (5, 6, 7, 8), (10, 12, 13, 11)
    recipients, donors = np.array([0, 1, 2, 3]), np.array([10, 5, 10, 5])
    batch, changed = edited(
        eye, stock.frames, SharedLayer(size=4, groups=2, recipients=9), recipients, donors, "over", [None] * 4,
        [second, first, second, first],
    )  # fmt: skip
    cpu = torch.device("cpu")
    given = [stock.frames.batch(np.array(group), eye.index).to(cpu).images for group in (first, second)]
    layers = shared_layer(torch.stack(given))
    for i, layer in enumerate((layers[1], layers[0], layers[1], layers[0])):
        assert torch.allclose(changed[i], (batch.images[i] + layer).clamp(0, 1))
    assert not torch.allclose(layers[0], layers[1])


class Killed(BaseException):
    """As sudden as a signal."""


@pytest.mark.parametrize("call", [1, 12, 30, 45])
def test_a_killed_walk_is_taken_up_in_the_round_that_it_was_in(
    small: tuple[Eye, Stock, pd.DataFrame], tmp_path: Path, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    eye, stock, images = small
    monkeypatch.setattr(columns, "SECONDS", 0.0)
    monkeypatch.setattr(columns, "WORTH", 0.0)
    plans: dict[str, Intervention] = {"removed": REMOVED, "a": Asking(rounds=(20, 18, 15))}
    counts = {"batches": 0}
    add = Columns.add

    def walk(parts: Path | None, killed: int = 0) -> pd.DataFrame:
        counts["batches"] = 0

        def adds(self: Columns, values: dict[str, np.ndarray]) -> None:
            counts["batches"] += 1
            if counts["batches"] == killed:
                raise Killed
            add(self, values)

        monkeypatch.setattr(Columns, "add", adds)
        return intervene(eye, stock.frames, images, plans, name="m", seed=0, batch_size=3, parts=parts)

    whole = walk(None)
    every = counts["batches"]
    assert every == 2 * (7 + 7) + 2 * 6 + 2 * 5
    with pytest.raises(Killed):
        walk(tmp_path / "parts", call)
    pd.testing.assert_frame_equal(walk(tmp_path / "parts"), whole)
    assert counts["batches"] == every - (call - 1)
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == ["0", "1", "2"]
    pd.testing.assert_frame_equal(walk(tmp_path / "parts"), whole)
    assert counts["batches"] == 0


def test_a_round_that_is_planned_otherwise_is_walked_again(
    small: tuple[Eye, Stock, pd.DataFrame], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    eye, stock, images = small
    for rounds in ((4, 3), (4, 2)):
        plans: dict[str, Intervention] = {"a": Asking(rounds=rounds)}
        found = intervene(
            eye, stock.frames, images, plans, name="m", seed=0, batch_size=3, parts=tmp_path / "parts"
        )  # fmt: skip
    fresh = intervene(eye, stock.frames, images, {"a": Asking(rounds=(4, 2))}, name="m", seed=0, batch_size=3)
    pd.testing.assert_frame_equal(found, fresh)
    assert [r.getMessage() for r in caplog.records] == ["m: all changes are made again: other plan than before"]


@pytest.mark.parametrize(("network", "where"), [(CornerReader, "the bottom right corner"), (Edge, "the left edge")])
def test_the_place_that_a_network_reads_is_searched_confirmed_and_accused(
    network: type[nn.Module], where: str, tmp_path: Path
) -> None:
    def paint(pixels: np.ndarray, box: tuple[int, ...], rng: np.random.Generator) -> None:
        if where == "the left edge":
            pixels[:, :2] = 255
        else:
            pixels[-4:, -4:] = 255

    eye, stock = world(network(), tmp_path, paint)
    seen = looked(eye, stock, {"object_removed": REMOVED, "places": SEARCHING})
    trials = seen.trials.assign(stage=stages(seen.trials["arm"]))
    confirmed = trials[(trials["stage"] == CONFIRM) & (trials["tested"] == "red")]
    assert {in_words(Place(kind="in", box=tuple(p)), (SIDE, SIDE)) for p in confirmed["place"]} == {where}
    assert (confirmed["predicted"] == "red").mean() > 0.9
    half = dict(zip(seen.images["id"], seen.images["half"], strict=True))
    assert set(confirmed["recipient"].map(half)) == {0, 1}
    searched = trials[(trials["stage"] == SEARCH) & (trials["tested"] == "red")]
    assert len(searched) > 200
    found = by_name(PLACES(seen, np.random.default_rng(0)))
    red = found["red", "place:1"]
    assert red.carrier == where
    assert red.p_value < 1e-4
    assert red.low > max(red.gate, 0.5)
    assert float(red.details["area"]) < 0.12
    assert all(abs(e.estimate) < 0.1 for (c, _), e in found.items() if c != "red")


def test_an_honest_network_is_accused_nowhere(tmp_path: Path) -> None:
    """Although the mark is there: nobody reads it."""

    def paint(pixels: np.ndarray, box: tuple[int, ...], rng: np.random.Generator) -> None:
        pixels[-4:, -4:] = 255

    eye, stock = world(ObjectReader(), tmp_path, paint)
    seen = looked(eye, stock, {"object_removed": REMOVED, "places": SEARCHING})
    assert all(abs(e.estimate) < 0.1 and e.p_value > 0.01 for e in PLACES(seen, np.random.default_rng(0)))


def test_a_mark_that_moves_is_found_in_each_image_and_given_away(tmp_path: Path) -> None:
    def paint(pixels: np.ndarray, box: tuple[int, ...], rng: np.random.Generator) -> None:
        x0, y0, x1, y1 = box
        while True:
            x, y = rng.integers(0, SIDE - 4, 2)
            if x + 4 < x0 - 2 or x > x1 + 2 or y + 4 < y0 - 2 or y > y1 + 2:
                break
        pixels[y : y + 4, x : x + 4] = 255

    eye, stock = world(Blot(), tmp_path, paint)
    own = OwnPlaces(**MARGINS, donors=10, recipients=3, window=0.25)
    seen = looked(eye, stock, {"object_removed": REMOVED, "own_places": own})
    moving = seen.trials[stages(seen.trials["arm"]) == MOVING]
    assert moving[moving["tested"] == "red"]["donor"].nunique() == 10
    found = by_name(PLACES(seen, np.random.default_rng(0)))
    red = found["red", "place:moving"]
    assert red.role == "place"
    assert red.carrier == "a place that moves from image to image"
    assert red.p_value < 1e-4
    assert red.low > 0.5
    assert all(abs(e.estimate) < 0.1 for (c, _), e in found.items() if c != "red")


def test_lines_over_the_whole_picture_are_laid_over_others(tmp_path: Path) -> None:
    def paint(pixels: np.ndarray, box: tuple[int, ...], rng: np.random.Generator) -> None:
        pixels[PATTERN.numpy() > 0] = (0.5 * pixels[PATTERN.numpy() > 0] + 127).astype(np.uint8)

    eye, stock = world(Grid(), tmp_path, paint)
    seen = looked(eye, stock, {"object_removed": REMOVED, "shared_layer": SharedLayer(size=8, groups=2, recipients=16)})
    found = by_name(PROPERTIES(seen, np.random.default_rng(0)))
    assert found["red", LAYER].p_value < 1e-4
    assert found["red", LAYER].low > 0.5
    assert all(abs(found[c, LAYER].estimate) < 0.1 for c in CLASSES[1:])
