"""What interventions cut out: boxes with their margin, outlines dilated, and what a table alone can say of both."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from pipeline.interventions.regions import around_all, dilated, grown, holes, largest, outline_margin, outside_share
from pipeline.types import Batch

HEIGHT, WIDTH = 40, 60


def batch_of(*boxes: list[list[float]], inside: torch.Tensor | None = None, outlined: tuple[bool, ...] = ()) -> Batch:
    n = len(boxes)
    empty = torch.zeros(n, HEIGHT, WIDTH, dtype=torch.bool)
    return Batch(
        ids=tuple(map(str, range(n))), images=torch.zeros(n, 3, HEIGHT, WIDTH), labels=torch.zeros(n, dtype=torch.long),
        inside=empty if inside is None else inside, others=empty, outlined=outlined,
        boxes=tuple(torch.tensor(b, dtype=torch.float32) for b in boxes),
    )  # fmt: skip


def filled(*boxes: tuple[int, int, int, int]) -> torch.Tensor:
    """(H, W) bool: the union of boxes on whole pixels."""
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


def disc(y: int, x: int, radius: float) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def test_the_hole_is_the_box_with_its_margin_and_not_squared() -> None:
    batch = batch_of([[10, 10, 20, 14]])  # 10 x 4: margins of 3 px on every side
    assert grown(batch, 0.1, 3)[0].tolist() == [[7, 7, 23, 17]]
    assert torch.equal(holes(batch, 0.1, 3)[0], filled((7, 7, 23, 17)))


def test_the_margin_grows_with_large_boxes() -> None:
    assert grown(batch_of([[0, 0, 50, 50]]), 0.1, 3)[0].tolist() == [[-5, -5, 55, 55]]


def test_every_object_of_every_image_has_its_hole() -> None:
    batch = batch_of([[10, 10, 20, 14], [40, 30, 50, 34]], [[30, 5, 34, 9]], [[0, 0, 4, 4], [50, 1, 54, 5]])
    found = holes(batch, 0.0, 1)
    assert torch.equal(found[0], filled((9, 9, 21, 15), (39, 29, 51, 35)))
    assert torch.equal(found[1], filled((29, 4, 35, 10)))
    assert torch.equal(found[2], filled((0, 0, 5, 5), (49, 0, 55, 6)))


def test_an_outline_is_dilated_within_its_box_and_other_images_keep_theirs() -> None:
    mask = torch.stack([disc(20, 30, 8), torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)])
    batch = batch_of([[23, 13, 38, 28]], [[10, 10, 20, 14]], inside=mask, outlined=(True, False))
    found = holes(batch, 0.1, 3)
    by = outline_margin((HEIGHT, WIDTH), 3)
    expected = F.max_pool2d(mask[:1, None].float(), 2 * by + 1, stride=1, padding=by)[0, 0] > 0
    assert torch.equal(found[0], expected & filled((20, 10, 41, 31)))
    assert not torch.equal(found[0], filled((20, 10, 41, 31)))  # the corners of the box are free
    assert torch.equal(found[1], filled((7, 7, 23, 17)))


@pytest.mark.parametrize("by", [1, 2, 5, 11])
@pytest.mark.parametrize("share", [0.002, 0.05, 0.6])
def test_dilation_is_a_maximum_over_a_window(by: int, share: float) -> None:
    masks = torch.rand(3, 17, 23, generator=torch.Generator().manual_seed(by)) < share
    masks[0, 0, 0] = masks[1, -1, -1] = True
    expected = F.max_pool2d(masks[:, None].float(), 2 * by + 1, stride=1, padding=by)[:, 0] > 0
    assert torch.equal(dilated(masks, by), expected)


def test_the_outlines_margin_is_a_share_of_the_frame_and_some_pixels_at_least() -> None:
    assert outline_margin((224, 300), 3) == 7
    assert outline_margin((32, 32), 3) == 3
    assert outline_margin((16, 16), 0) == 1


def test_the_largest_region_is_taken_per_image() -> None:
    batch = batch_of([[0, 0, 4, 4], [10, 10, 30, 20]], [[5, 5, 9, 9]])
    assert largest(batch.boxes).tolist() == [[10, 10, 30, 20], [5, 5, 9, 9]]


def test_the_box_around_all_objects_has_the_margin_of_its_own_size() -> None:
    images = pd.DataFrame({"boxes": [[(10.0, 10.0, 20.0, 14.0), (40.0, 12.0, 60.0, 20.0)], [(0.0, 0.0, 4.0, 4.0)]]})
    assert around_all(images, 0.1, 3).tolist() == [[5, 7, 65, 23], [-3, -3, 7, 7]]


def test_the_share_outside_is_that_of_the_hole_for_one_box() -> None:
    boxes = [(10.0, 10.0, 20.0, 14.0), (0.0, 0.0, 30.0, 30.0), (5.0, 5.0, 58.0, 38.0)]
    images = pd.DataFrame({"boxes": [[b] for b in boxes], "frame": [(HEIGHT, WIDTH)] * 3})
    found = holes(batch_of(*[[list(b)] for b in boxes]), 0.1, 3)
    assert outside_share(images, 0.1, 3) == pytest.approx(1 - found.double().mean(dim=(1, 2)).numpy(), abs=0.02)


def test_the_share_outside_an_outline_is_close_to_the_truth() -> None:
    """Of discs and of a cross, which is longer around than a disc."""
    cross = filled((20, 18, 44, 22), (30, 8, 34, 32))
    masks = torch.stack([disc(20, 30, 4), disc(20, 30, 10), disc(18, 25, 14), cross])
    boxes = []
    for mask in masks:
        rows, columns = mask.nonzero().T
        boxes.append(tuple(float(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)))
    images = pd.DataFrame(
        {
            "boxes": [[b] for b in boxes], "frame": [(HEIGHT, WIDTH)] * 4, "region_kind": "mask",
            "area_fraction": masks.double().mean(dim=(1, 2)).numpy(),
        }
    )  # fmt: skip
    found = holes(batch_of(*[[list(b)] for b in boxes], inside=masks, outlined=(True,) * 4), 0.1, 2)
    truth = 1 - found.double().mean(dim=(1, 2)).numpy()
    outside = outside_share(images, 0.1, 2)
    assert outside[:3] == pytest.approx(truth[:3], abs=0.05)
    assert outside[3] == pytest.approx(truth[3], abs=0.12)
    boxed = outside_share(images.assign(region_kind="box"), 0.1, 2)
    assert (outside > boxed + 0.02).sum() >= 2
    assert (outside >= boxed).all()


def test_an_empty_table_has_no_shares() -> None:
    assert len(outside_share(pd.DataFrame({"boxes": [], "frame": []}), 0.1, 3)) == 0
    assert np.shape(around_all(pd.DataFrame({"boxes": []}), 0.1, 3)) == (0, 4)
