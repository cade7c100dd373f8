"""What goes into the frame store comes out again, whatever the order."""

from pathlib import Path

import pytest
import torch

from pipeline.run.frames import Frames
from pipeline.types import Example, ObjectRegion, Record


def _example(i: int, frame: tuple[int, int] = (5, 7)) -> Example:
    rng = torch.Generator().manual_seed(i)
    inside = torch.rand(frame, generator=rng) > 0.5
    region = ObjectRegion(label="a", box=(0, 0, 2, 3))
    return Example(
        record=Record(id=f"image{i}", path=Path("x.png"), label="ab"[i % 2], objects=(region,)),
        image=torch.randint(0, 256, (3, *frame), dtype=torch.uint8, generator=rng),
        inside=inside,
        others=~inside,
        boxes=torch.tensor([[0.0, 0.0, 2.0, 3.0]] * (i + 1)),
        visible_fraction=1.0,
        region_kind="mask",
        original_size=(70, 50),
    )


def test_rows_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    frames = Frames(tmp_path / "frames", (5, 7))
    examples = [_example(i) for i in range(4)]
    for example in examples:
        frames.add(example)
    assert len(frames) == 4
    batch = frames.batch([2, 0, 2], {"a": 10, "b": 20})
    assert batch.ids == ("image2", "image0", "image2")
    assert batch.labels.tolist() == [10, 10, 10]
    for got, row in zip(range(3), [2, 0, 2], strict=True):
        assert torch.equal(batch.images[got], examples[row].image)
        assert torch.equal(batch.inside[got], examples[row].inside)
        assert torch.equal(batch.others[got], examples[row].others)
        assert torch.equal(batch.boxes[got], examples[row].boxes)


def test_pixels_reach_the_device_as_fractions(tmp_path: Path) -> None:
    frames = Frames(tmp_path / "frames", (5, 7))
    frames.add(_example(0))
    batch = frames.batch([0], {"a": 0}).to(torch.device("cpu"))
    assert batch.images.dtype == torch.float32
    assert torch.equal(batch.images[0], _example(0).image.float() / 255)


def test_nothing_to_store_is_no_error(tmp_path: Path) -> None:
    assert len(Frames(tmp_path / "frames", (5, 7))) == 0
    with pytest.raises(IndexError, match="there is no row 0"):
        Frames(tmp_path / "more", (5, 7)).batch([0], {})


def test_a_later_process_takes_what_lies_in_the_file(tmp_path: Path) -> None:
    """Rows that it does not take are written over by the next that is added."""
    first = Frames(tmp_path / "frames", (5, 7))
    for i in range(3):
        first.add(_example(i))
    first.settle()
    assert first.holds(3)
    assert not first.holds(4)
    later = Frames(tmp_path / "frames", (5, 7))
    assert len(later) == 0
    for i in range(2):
        e = _example(i)
        later.taken(e.record.id, e.record.label, e.region_kind, e.boxes.numpy(), e.companions)
    later.add(_example(5))
    batch = later.batch([0, 1, 2], {"a": 0, "b": 1})
    assert batch.ids == ("image0", "image1", "image5")
    assert torch.equal(batch.images, torch.stack([_example(i).image for i in (0, 1, 5)]))
    assert torch.equal(batch.boxes[1], _example(1).boxes)
