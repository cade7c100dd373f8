from __future__ import annotations

import re

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.report.pictures import (
    FILTERS,
    colour_filters,
    file_name,
    shrunk,
    write_heat,
    write_mask,
    write_picture,
)


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "WEBP"
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("as_bytes", [True, False])
def test_picture_keeps_size_and_colours(tmp_path, as_bytes):
    image = torch.zeros(3, 30, 40)
    image[0, :, :20], image[2, :, 20:] = 1, 1
    write_picture((image * 255).byte() if as_bytes else image, tmp_path / "new" / "a.webp")
    seen = pixels(tmp_path / "new" / "a.webp")
    assert seen.shape == (30, 40, 3)
    assert np.abs(seen[:, 5] - [255, 0, 0]).max() < 12
    assert np.abs(seen[:, 35] - [0, 0, 255]).max() < 12


def test_heat_is_scaled_at_its_percentile(tmp_path):
    mass = torch.linspace(0, 1, 10_000).reshape(100, 100)
    mass[0, 0] = 1e9
    write_heat(mass, tmp_path / "a.webp")
    seen = pixels(tmp_path / "a.webp")[..., 0]
    assert seen[-1, -1] > 250
    assert seen[50, 50] == pytest.approx(255 * 0.505 / 0.995, abs=4)
    assert seen[2, 50] < 15


def test_a_single_hot_pixel_is_not_lost(tmp_path):
    mass = torch.zeros(100, 100)
    mass[40:42, 40:42] = 3
    write_heat(mass, tmp_path / "a.webp")
    assert pixels(tmp_path / "a.webp").max() > 150


def test_heat_of_nothing_is_black(tmp_path):
    write_heat(torch.zeros(8, 8), tmp_path / "a.webp")
    assert pixels(tmp_path / "a.webp").max() == 0


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_heat_refuses_what_is_no_mass(tmp_path, bad):
    mass = torch.ones(4, 4)
    mass[1, 1] = bad
    with pytest.raises(ValueError, match="`mass`"):
        write_heat(mass, tmp_path / "a.webp")


def test_shapes_are_checked(tmp_path):
    with pytest.raises(ValueError, match=r"`image`.*\(4, 4\)"):
        write_picture(torch.zeros(4, 4), tmp_path / "a.webp")
    with pytest.raises(ValueError, match=r"`mass`.*\(3, 4, 4\)"):
        write_heat(torch.zeros(3, 4, 4), tmp_path / "a.webp")


@pytest.mark.parametrize(("identity", "name"), FILTERS.items())
def test_colour_filters_are_matplotlibs_maps(identity, name):
    own = re.search(rf'<filter id="{identity}".*?</filter>', colour_filters())
    tables = re.findall(r'<feFunc([RGB]) type="table" tableValues="([^"]+)"', own.group())
    assert [c for c, _ in tables] == list("RGB")
    found = np.array([[float(v) for v in values.split()] for _, values in tables]).T
    assert np.allclose(found, mpl.colormaps[name](np.linspace(0, 1, len(found)))[:, :3], atol=6e-4)


@pytest.mark.parametrize("size", [(5, 13), (16, 16), (1, 1)])
def test_a_mask_takes_a_bit_a_pixel_and_comes_back(tmp_path, size):
    mask = torch.rand(size, generator=torch.Generator().manual_seed(1)) > 0.5
    write_mask(mask, tmp_path / "new" / "a.png")
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert (image.format, image.mode) == ("PNG", "1")
        assert np.array_equal(np.asarray(image), mask.numpy())


@pytest.mark.parametrize("bad", [torch.zeros(4, 4), torch.zeros(1, 4, 4, dtype=torch.bool)])
def test_masks_are_checked(tmp_path, bad):
    with pytest.raises(ValueError, match="`mask` must be bool"):
        write_mask(bad, tmp_path / "a.png")


def test_large_maps_are_averaged_and_small_ones_left_alone():
    maps = torch.rand(2, 224, 112, generator=torch.Generator().manual_seed(2))
    small = shrunk(maps, 112)
    assert small.shape == (2, 112, 56)
    assert torch.allclose(small[1, 3, 5], maps[1, 6:8, 10:12].mean())
    assert torch.allclose(small.mean(dim=(1, 2)), maps.mean(dim=(1, 2)))
    assert shrunk(maps, 224) is maps
    assert shrunk(torch.rand(1, 300, 1), 112).shape == (1, 112, 1)
    assert shrunk(torch.full((1, 8, 8), torch.nan), 4).isnan().all()


def test_names_become_file_names_that_differ():
    names = ["grad_cam", "a-b", "a/b", "a b", "A-b", "", ".", "..", "../x", "/x", "\x00", "ä", "x" * 200, "x" * 201]
    found = [file_name(n) for n in names]
    assert found[:2] == names[:2]
    assert len({f.lower() for f in found}) == len(names)  # also where a file system ignores case
    assert all(re.fullmatch(r"[a-z0-9_-]{1,49}", f) for f in found)
    assert found == [file_name(n) for n in names]
