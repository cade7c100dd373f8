from __future__ import annotations

import re

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.report.pictures import FILTERS, colour_filters, write_heat, write_picture


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
