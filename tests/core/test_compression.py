"""JPEG as tensor arithmetic against Pillow's, and how much of it a picture shows."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from pipeline.core.compression import QUALITIES, blockiness, compressed, match_compression


def pictures(count: int, height: int = 64, width: int = 80, seed: int = 0) -> torch.Tensor:
    """Like photographs: much of their energy in coarse structure, some in fine; 8 bits."""
    rng = np.random.default_rng(seed)
    made = np.zeros((count, 3, height, width))
    for sigma, gain in ((12, 3.0), (4, 0.8), (1.2, 1.0)):
        noise = gaussian_filter(rng.normal(size=made.shape), (0, 0.6, sigma, sigma))
        made += gain * sigma / 6 * noise
    made = 0.5 + 0.2 * made / made.std()
    return torch.from_numpy((made.clip(0, 1) * 255).round().astype(np.float32) / 255)


PICTURES = pictures(3)


def by_pillow(images: torch.Tensor, quality: int) -> torch.Tensor:
    found = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray((image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)).save(
            file, "JPEG", quality=quality, subsampling="4:2:0"
        )
        found.append(torch.from_numpy(np.asarray(Image.open(file), np.float32) / 255).permute(2, 0, 1))
    return torch.stack(found)


@pytest.mark.parametrize("quality", [5, 10, 20, 40, 75, 95])
def test_pillow_loses_the_same(quality: int) -> None:
    """Far closer to Pillow's result than that is to the picture, but for the 8 bits that it is rounded to."""
    ours, theirs = compressed(PICTURES, quality), by_pillow(PICTURES, quality)
    loss = (theirs - PICTURES).square().mean().sqrt()
    off = (ours - theirs).square().mean().sqrt()
    assert off < max(0.25 * loss, 0.007)
    assert blockiness(ours) == pytest.approx(blockiness(theirs), rel=0.1, abs=0.04)


@pytest.mark.parametrize("shape", [(64, 80), (57, 41), (8, 8), (3, 5)])
def test_at_the_best_quality_little_is_lost_in_any_frame(shape: tuple[int, int]) -> None:
    """Grey, since colour is halved; the steps of 1 of 255 and what is rounded remain."""
    grey = pictures(2, *shape)[:, :1].expand(-1, 3, -1, -1)
    found = compressed(grey, 100)
    assert found.shape == grey.shape
    assert (found - grey).abs().max() < 0.01


@pytest.mark.parametrize("quality", [1, 10, 50])
def test_a_plain_grey_stays_and_nothing_leaves_the_range(quality: int) -> None:
    plain = torch.full((1, 3, 32, 32), 128 / 255)
    assert torch.allclose(compressed(plain, quality), plain, atol=1e-5)
    extremes = (torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    found = compressed(extremes, quality)
    assert found.min() >= 0
    assert found.max() <= 1


def test_every_picture_is_compressed_by_itself() -> None:
    assert torch.allclose(compressed(PICTURES, 10)[1:2], compressed(PICTURES[1:2], 10), atol=1e-6)


def test_the_harder_the_compression_the_more_blocks_show() -> None:
    shown = torch.stack([blockiness(PICTURES), *(blockiness(compressed(PICTURES, q)) for q in (60, 40, 20, 10, 5))])
    assert (shown[1:] > shown[:-1]).all()
    assert (shown[0].abs() < 0.08).all()
    assert (shown[-1] > 0.5).all()


def test_blocks_count_from_the_corner() -> None:
    """Steps at every eighth pixel: of the corner's blocks they are the edges, four pixels on they are not."""
    steps = (torch.arange(64) // 8 % 2).float()
    board = (steps[:, None] + steps[None]).expand(1, 3, 64, 64) / 4 + 0.2
    assert blockiness(board) > 10
    assert blockiness(board.roll((4, 4), (2, 3))) < 0


def test_a_picture_that_shows_as_much_already_is_left_alone() -> None:
    hard, soft = compressed(PICTURES, 5), compressed(PICTURES, 40)
    assert torch.equal(match_compression(hard, soft.roll(1, 0)), hard)
    assert torch.equal(match_compression(PICTURES, pictures(3, seed=9)), PICTURES)  # no donor shows any
    board = ((torch.arange(64) // 8)[:, None] + (torch.arange(80) // 8)[None]) % 2 == 0
    red, green = (torch.tensor(c)[:, None, None] for c in ((0.9, 0.2, 0.2), (0.2, 0.6, 0.2)))
    blocks = torch.where(board, red, green)
    lossy = compressed(blocks[None], 40)  # halved colour bleeds: fewer steps at the edges, more within
    assert blockiness(lossy) < blockiness(blocks[None])
    assert torch.equal(match_compression(blocks[None], lossy), blocks[None])


@pytest.mark.parametrize("quality", QUALITIES)
def test_pictures_are_brought_near_their_donors(quality: int) -> None:
    donors = compressed(pictures(3, seed=5), quality)
    found = match_compression(PICTURES, donors)
    wanted, before, after = blockiness(donors), blockiness(PICTURES), blockiness(found)
    assert ((after - wanted).abs() < 0.5 * (before - wanted).abs()).all()
    assert any(torch.equal(found[0], compressed(PICTURES, q)[0]) for q in QUALITIES)


def test_each_picture_has_its_own_donor() -> None:
    donors = torch.cat([compressed(PICTURES[:1], 5), PICTURES[1:2], compressed(PICTURES[2:], 20)])
    found = match_compression(PICTURES, donors)
    assert torch.equal(found[1], PICTURES[1])
    assert torch.allclose(found[0], donors[0], atol=1e-6)
    assert torch.allclose(found[2], donors[2], atol=1e-6)
