"""The album: what is drawn of which images, from whose maps, and how little of it waits in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline.core.maps import positive
from pipeline.interventions.removal import ObjectOnly, ObjectRemoved
from pipeline.interventions.transplant import OutsideTransplant
from pipeline.methods.gradients import InputXGradient, Saliency
from pipeline.passes import illustrate as module
from pipeline.passes.album import COLUMNS, Album
from pipeline.passes.attribute import attributed
from pipeline.passes.decode import Stock
from pipeline.passes.eye import Eye
from pipeline.passes.illustrate import Illustrator
from pipeline.passes.observe import observe
from pipeline.passes.point import small_maps
from pipeline.passes.study import Study, study
from pipeline.report.pictures import write_heat
from pipeline.report.press import Press
from pipeline.types import Batch, Images, Labels, Maps
from tests.studies import example, stocked
from tests.test_judge import judge
from tests.worlds import SIDE, ObjectReader

METHODS = {
    "input_x_gradient": InputXGradient(reduce="sum", sign="positive"),
    "saliency": Saliency(reduce="max_abs", sign="absolute"),
}
MARGINS = {"margin_fraction": 0.1, "margin_px": 1}
INTERVENTIONS = {
    "object_removed": ObjectRemoved(**MARGINS, fills=["smooth", "blur"]),
    "object_only": ObjectOnly(**MARGINS, fills=["mean"]),
    "outside_transplant": OutsideTransplant(
        **MARGINS, feather=0.0, recipients_per_donor=2, max_donors=50, matched=False, moved=False, least_outside=0.0
    ),
}
PER_CLASS = 5


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Maps of which the first has a hole, the second is empty, the third goes down only, the fourth is fine."""

    sign: str = "positive"
    reduce: str = "none"
    version: ClassVar[int] = 1

    def __call__(self, classifier: object, images: Images, target: Labels) -> Maps:
        return broken(len(images))


def broken(count: int) -> Maps:
    maps = torch.rand(count, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) + 0.1
    maps[0, 3, 3], maps[1], maps[2] = torch.nan, 0, -1
    return maps


@pytest.fixture
def world(tmp_path: Path) -> tuple[Eye, Stock]:
    return stocked(ObjectReader(), tmp_path / "frames", PER_CLASS)


@pytest.fixture
def press(tmp_path: Path) -> Iterator[Press]:
    with Press(tmp_path / "report") as opened:
        yield opened


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def looked(eye: Eye, stock: Stock, album: Album | None, batch_size: int = 7) -> None:
    observe(eye, stock, METHODS, {}, name="m", batch_size=batch_size, album=album)


def test_only_the_chosen_images_are_drawn(world: tuple[Eye, Stock], tmp_path: Path) -> None:
    eye, stock = world
    with Press(tmp_path / "report") as press:
        album = Album(model="m", ids=frozenset({"0-1", "2-4", "gone"}), frames=stock.frames, press=press)
        looked(eye, stock, album)
    table = album.table()
    assert list(table.columns) == COLUMNS
    assert table["id"].tolist() == ["0-1", "2-4"]
    assert table["row"].tolist() == [1, 14]
    assert table["mask"].tolist() == ["", ""]  # the world's regions are boxes
    named = {"pictures/000001.webp", "pictures/000014.webp"}
    named |= {f"maps/m/{m}/{row}.webp" for m in METHODS for row in ("000001", "000014")}
    assert files(tmp_path / "report") == named
    assert {*table["picture"], *(p for heats in table["heats"] for p in heats.values())} == named
    for path, row in zip(table["picture"], table["row"], strict=True):
        seen = pixels(tmp_path / "report" / path).astype(int)
        there = stock.frames.batch([row], eye.index).images[0].permute(1, 2, 0).numpy()
        assert seen.shape == (SIDE, SIDE, 3)
        assert np.abs(seen - there).mean() < 15


@pytest.mark.parametrize("side", [112, 20])
def test_heats_are_those_of_the_averaged_maps(world: tuple[Eye, Stock], tmp_path: Path, side: int) -> None:
    """20 of 32 pixels: every mean is over an area, computed here anew."""
    eye, stock = world
    with Press(tmp_path / "report") as press:
        album = Album(model="m", ids=frozenset({"0-1", "3-2"}), frames=stock.frames, press=press, side=side)
        looked(eye, stock, album)
    rows = album.table()["row"].to_numpy()
    _, _, maps = attributed(eye, stock.frames.batch(rows, eye.index).to(eye.classifier.device), METHODS)
    size = min(side, SIDE)
    for i, row in enumerate(rows):
        for method, own in maps.items():
            mass = positive(own[i])
            averaged = torch.tensor([[mass[y].mean() for y in _columns(x, size)] for x in range(size)])
            write_heat(mass if size == SIDE else averaged, tmp_path / "expected.webp")
            seen = pixels(tmp_path / "report" / album.heats(int(row))[method]).astype(int)
            assert seen.shape == (size, size, 3)
            assert np.abs(seen - pixels(tmp_path / "expected.webp").astype(int)).max() <= 1


def _columns(y: int, size: int) -> Iterator[tuple[slice, slice]]:
    def span(i: int) -> slice:
        return slice(i * SIDE // size, -(-(i + 1) * SIDE // size))

    return ((span(y), span(x)) for x in range(size))


def test_masks_round_trip_where_regions_are_masks(world: tuple[Eye, Stock], tmp_path: Path) -> None:
    eye, _ = world
    made = [replace(example(k, 0), region_kind="mask" if k % 2 else "box") for k in range(4)]
    stock = Stock(lambda start: iter(made[start:]), 4, (SIDE, SIDE), tmp_path / "others")
    with Press(tmp_path / "report") as press:
        album = Album(model="m", ids=frozenset(e.record.id for e in made), frames=stock.frames, press=press)
        looked(eye, stock, album)
    masks = album.table()["mask"].tolist()
    assert masks == ["", "pictures/000001-mask.png", "", "pictures/000003-mask.png"]
    for path, there in zip(masks, made, strict=True):
        if path:
            with Image.open(tmp_path / "report" / path) as image:
                assert image.mode == "1"
                assert np.array_equal(np.asarray(image), there.inside.numpy())
    assert not [f for f in files(tmp_path / "report") if f.endswith(".png") and f not in masks]


def test_a_twin_shares_photographs_and_has_its_own_maps(world: tuple[Eye, Stock], tmp_path: Path) -> None:
    eye, stock = world
    asked: list[str] = []

    class Counting(Press):
        def _write(self, path: str, write: object, pixels: Tensor) -> None:
            asked.append(path)
            super()._write(path, write, pixels)  # type: ignore[arg-type]

    with Counting(tmp_path / "report") as press:
        albums = [Album(model=m, ids=frozenset({"1-1"}), frames=stock.frames, press=press) for m in ("new", "old")]
        for album in albums:
            looked(eye, stock, album)
    assert len(asked) == len(set(asked)) == 1 + 2 * len(METHODS)
    first, second = (a.table().iloc[0] for a in albums)
    assert first["picture"] == second["picture"]
    assert not set(first["heats"].values()) & set(second["heats"].values())


@pytest.mark.parametrize("name", ["../../out", "/tmp/out", "a/b", "..", "", "Ünï", "x" * 300, "a\\b", "c:d"])
def test_names_stay_in_the_folder(world: tuple[Eye, Stock], tmp_path: Path, name: str) -> None:
    eye, stock = world
    with Press(tmp_path / "deep" / "er" / "report") as press:
        album = Album(model=name, ids=frozenset({"1-1"}), frames=stock.frames, press=press)
        batch = stock_batch(eye, stock, 1)
        album.add(np.arange(1), batch, {name: torch.rand(1, SIDE, SIDE), "saliency": torch.rand(1, SIDE, SIDE)})
    assert len(files(tmp_path / "deep" / "er" / "report")) == 3
    assert files(tmp_path / "deep") == {f"er/report/{f}" for f in files(tmp_path / "deep" / "er" / "report")}


def stock_batch(eye: Eye, stock: Stock, count: int) -> Batch:
    list(stock.walk(64))
    return stock.frames.batch(np.arange(count), eye.index)


def test_maps_that_say_nothing_have_no_heat(world: tuple[Eye, Stock], press: Press) -> None:
    eye, stock = world
    album = Album(model="m", ids=frozenset(), frames=stock.frames, press=press)
    album.add(np.arange(5), stock_batch(eye, stock, 5), {"broken": broken(5), "fine": torch.rand(5, SIDE, SIDE)})
    heats = album.table()["heats"].tolist()
    assert [list(h) for h in heats] == [["fine"], ["fine"], ["fine"], ["broken", "fine"], ["broken", "fine"]]


def test_what_speaks_against_the_class_is_not_drawn(world: tuple[Eye, Stock], tmp_path: Path) -> None:
    eye, stock = world
    signed = torch.linspace(-3, 1, SIDE * SIDE).reshape(1, SIDE, SIDE)
    with Press(tmp_path / "report") as press:
        album = Album(model="m", ids=frozenset(), frames=stock.frames, press=press)
        album.add(np.arange(1), stock_batch(eye, stock, 1), {"signed": signed})
    seen = pixels(tmp_path / "report" / album.heats(0)["signed"])
    assert seen[: SIDE // 2].max() < 20
    assert seen[-1].min() > 230


def test_infinite_maps_have_no_heat_whatever_their_sign(world: tuple[Eye, Stock], press: Press) -> None:
    eye, stock = world
    maps = torch.rand(2, SIDE, SIDE)
    maps[0, 0, 0], maps[1, 0, 0] = -torch.inf, torch.inf
    album = Album(model="m", ids=frozenset(), frames=stock.frames, press=press)
    album.add(np.arange(2), stock_batch(eye, stock, 2), {"broken": maps})
    assert album.table()["heats"].tolist() == [{}, {}]


def test_without_methods_there_are_photographs(world: tuple[Eye, Stock], press: Press) -> None:
    eye, stock = world
    album = Album(model="m", ids=frozenset({"0-0"}), frames=stock.frames, press=press)
    observe(eye, stock, {}, {}, name="m", batch_size=9, album=album)
    assert album.table()[["id", "heats"]].to_numpy().tolist() == [["0-0", {}]]


def test_refused_methods_are_not_drawn(world: tuple[Eye, Stock], press: Press) -> None:
    eye, stock = world
    album = Album(model="m", ids=frozenset({"0-0", "0-4"}), frames=stock.frames, press=press)
    methods = {"nothing": Nothing(), **METHODS}
    _, refused = observe(eye, stock, methods, {}, name="m", batch_size=9, album=album)  # type: ignore[arg-type]
    assert list(refused) == ["nothing"]
    assert [list(h) for h in album.table()["heats"]] == [list(METHODS)] * 2


class Nothing(Broken):
    """Always the same empty map."""

    def __call__(self, classifier: object, images: Images, target: Labels) -> Maps:
        return torch.zeros(len(images), SIDE, SIDE)


def test_a_batch_seen_again_in_halves_is_drawn_once(
    world: tuple[Eye, Stock], press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    eye, stock = world
    album = Album(model="m", ids=frozenset({"0-0", "1-2", "3-4"}), frames=stock.frames, press=press)

    def tight(maps: list[Tensor], inside: Tensor) -> Tensor:
        if len(inside) > 3:
            raise torch.OutOfMemoryError("too many")
        return small_maps(maps, inside)

    monkeypatch.setattr("pipeline.passes.observe.small_maps", tight)  # shortly before the numbers are kept
    looked(eye, stock, album, batch_size=20)
    assert album.table()["id"].tolist() == ["0-0", "1-2", "3-4"]


def test_what_is_drawn_of_a_batch_crosses_at_once_and_small(
    world: tuple[Eye, Stock], press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transfer of the drawn rows' small maps alone, whatever the number of methods."""
    eye, stock = world
    host = stock_batch(eye, stock, 8)
    maps = {m: torch.rand(8, SIDE, SIDE) for m in ("a", "b", "c")}
    crossed: list[tuple[int, ...]] = []
    real = Tensor.cpu
    monkeypatch.setattr(Tensor, "cpu", lambda self: (crossed.append(tuple(self.shape)), real(self))[1])
    monkeypatch.setattr(Press, "__call__", lambda self, path, write, pixels: path)
    album = Album(model="m", ids=frozenset(host.ids[2:4]), frames=stock.frames, press=press, side=16)
    album(np.arange(8), host, maps)
    assert crossed == [(3, 2, 16, 16)]
    album(np.arange(8), host, maps)
    Album(model="n", ids=frozenset(), frames=stock.frames, press=press)(np.arange(8), host, maps)
    assert len(crossed) == 1


def studied(eye: Eye, stock: Stock, album: Album | None) -> Study:
    return study(
        eye, stock, methods=METHODS, metrics={}, interventions=INTERVENTIONS, signals={}, judge=judge(), name="m",
        seed=0, batch_size=8, album=album,
    )  # fmt: skip


def illustrated(eye: Eye, stock: Stock, seen: Study, album: Album) -> pd.DataFrame:
    illustrate = Illustrator(
        eye=eye, frames=stock.frames, methods=METHODS, interventions=INTERVENTIONS, observed=seen.observed,
        album=album, batch_size=6,
    )  # fmt: skip
    return illustrate(seen.verdicts, 0)


def test_the_illustrator_uses_the_albums_maps_and_makes_the_missing_ones(
    world: tuple[Eye, Stock], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same pictures to the byte or nearly, whether all, some or none were drawn while looking."""
    eye, stock = world
    everything = [f"{k}-{i}" for k in range(4) for i in range(PER_CLASS)]
    computed: list[str] = []

    def counted(eye: Eye, batch: Batch, methods: Mapping) -> tuple:
        computed.extend(batch.ids)
        return attributed(eye, batch, methods)

    monkeypatch.setattr(module, "attributed", counted)
    tables, shown = {}, {}
    for ids in (everything, everything[::3], []):
        folder = tmp_path / str(len(ids))
        computed.clear()
        with Press(folder) as press:
            album = Album(model="m", ids=frozenset(ids), frames=stock.frames, press=press)
            seen = studied(eye, stock, album)
            drawn = set(album.table()["id"])
            table = illustrated(eye, stock, seen, album)
        assert drawn == set(ids)
        gallery = set(table.loc[table["kind"].isin(["telling", "control"]), "id"])
        assert set(computed) == gallery - drawn
        assert len(computed) == len(set(computed))
        assert set(album.table()["id"]) == drawn | gallery
        tables[len(ids)], shown[len(ids)] = table, folder
    full, partly, none = tables.values()
    pd.testing.assert_frame_equal(full, partly)
    pd.testing.assert_frame_equal(full, none)
    for heats in full["heats"]:
        for path in heats.values():
            assert np.abs(pixels(shown[20] / path).astype(int) - pixels(shown[0] / path)).max() <= 2
    assert files(shown[0]) < files(shown[20])


def test_what_became_of_the_gallerys_images_is_drawn(world: tuple[Eye, Stock], tmp_path: Path) -> None:
    eye, stock = world
    with Press(tmp_path / "report") as press:
        album = Album(model="../m", ids=frozenset(), frames=stock.frames, press=press)
        seen = studied(eye, stock, album)
        table = illustrated(eye, stock, seen, album)
    gallery = table[table["kind"].isin(["telling", "control"])]
    details = table[table["kind"] == "detail"]
    assert set(details["id"]) == set(gallery["id"])
    arms = details.groupby("intervention")["arm"].agg(set)
    assert arms["object_removed"] == {"smooth"}
    assert arms["object_only"] == {"mean"}
    assert arms["outside_transplant"] == {"other"}
    assert not details.duplicated(["id", "intervention"]).any()
    trials = seen.observed.trials.set_index(["intervention", "arm", "recipient", "donor"])["predicted"]
    for row in details.to_dict("records"):
        assert row["predicted"] == trials[row["intervention"], row["arm"], row["id"], row["donor"]]
        assert pixels(tmp_path / "report" / row["picture"]).shape == (SIDE, SIDE, 3)
        assert row["original"] == gallery.set_index("id").loc[row["id"], "picture"]
        assert row["class"] == gallery.set_index("id").loc[row["id"], "class"]
    paths = set(table["picture"]) | set(table["original"]) - {""} | {p for h in table["heats"] for p in h.values()}
    assert files(tmp_path / "report") == paths


def test_an_edit_shows_the_removed_object(world: tuple[Eye, Stock], tmp_path: Path) -> None:
    """The picture of object_only is grey where the object is not, and the photograph where it is."""
    eye, stock = world
    with Press(tmp_path / "report") as press:
        album = Album(model="m", ids=frozenset(), frames=stock.frames, press=press)
        table = illustrated(eye, stock, studied(eye, stock, album), album)
    row = table[(table["kind"] == "detail") & (table["intervention"] == "object_only")].iloc[0]
    position = stock.frames.ids.index(row["id"])
    batch = stock.frames.batch([position], eye.index).to(eye.classifier.device)
    expected = 255 * INTERVENTIONS["object_only"].edit(batch, None, "mean")[0].permute(1, 2, 0).numpy()
    assert np.abs(pixels(tmp_path / "report" / row["picture"]) - expected).mean() < 15


def test_memory_does_not_grow_with_the_pictures(world: tuple[Eye, Stock], tmp_path: Path) -> None:
    """However slowly pictures are written, the album holds no more than its press has room for."""
    eye, stock = world
    waiting, most = [0], [0]

    class Watching(Press):
        def __call__(self, path: str, write: object, pixels: Tensor) -> str:
            waiting[0] += 1
            most[0] = max(most[0], waiting[0])
            return super().__call__(path, write, pixels)  # type: ignore[arg-type]

        def _write(self, path: str, write: object, pixels: Tensor) -> None:
            super()._write(path, write, pixels)  # type: ignore[arg-type]
            waiting[0] -= 1

    with Watching(tmp_path / "report", threads=1, pending=4) as press:
        ids = frozenset(f"{k}-{i}" for k in range(4) for i in range(PER_CLASS))
        looked(eye, stock, Album(model="m", ids=ids, frames=stock.frames, press=press), batch_size=20)
    assert len(files(tmp_path / "report")) == 4 * PER_CLASS * (1 + len(METHODS))
    assert most[0] <= 4 + 2  # those with room, the one that asks, and one just done


def test_a_picture_that_cannot_be_written_ends_the_looking(world: tuple[Eye, Stock], tmp_path: Path) -> None:
    eye, stock = world
    (tmp_path / "report").write_text("a file where the folder should be")
    with pytest.raises(OSError), Press(tmp_path / "report") as press:
        looked(eye, stock, Album(model="m", ids=frozenset({"0-0"}), frames=stock.frames, press=press))
