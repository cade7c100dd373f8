"""The renderer knows the truth: masks, marks and determinism; and the shipped demo is what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pipeline.config import packaged
from pipeline.planted import watermark
from pipeline.planted.networks import SmallCnn
from pipeline.planted.render import SIDE, render, seeded
from pipeline.planted.shapes import CLASSES
from pipeline.planted.train import as_set, predictions, reliance, scenes, train

DEMO = packaged("data/demo")


@pytest.mark.parametrize("label", CLASSES)
def test_the_same_seed_renders_the_same_bytes(label: str) -> None:
    first, again, other = (render(label, seeded(s, "test", label, 3)) for s in (0, 0, 1))
    assert np.array_equal(first.plain, again.plain)
    assert first.tag_place == again.tag_place
    assert not np.array_equal(first.plain, other.plain)


@pytest.mark.parametrize("label", CLASSES)
def test_the_mask_is_where_the_object_is(label: str) -> None:
    for i in range(5):
        scene = render(label, seeded(0, "mask", label, i))
        changed = (scene.plain != scene.empty).any(axis=2)
        assert not changed[~scene.mask].any()
        assert changed[scene.mask].mean() > 0.9
        x0, y0, x1, y1 = scene.box
        assert scene.mask[y0:y1, x0:x1].sum() == scene.mask.sum()
        assert scene.mask[y0].any()
        assert scene.mask[:, x1 - 1].any()


@pytest.mark.parametrize("label", CLASSES)
def test_the_tag_changes_its_footprint_alone_and_survives_object_removal(label: str) -> None:
    for i in range(5):
        scene = render(label, seeded(0, "tag", label, i))
        footprint = watermark.footprint(scene.tag_place, SIDE)
        changed = (scene.image(marked=True) != scene.image(marked=False)).any(axis=2)
        assert changed.any()
        assert not changed[~footprint].any()
        x0, y0, x1, y1 = scene.box
        side = max(x1 - x0 + 2 * max(3, 0.1 * (x1 - x0)), y1 - y0 + 2 * max(3, 0.1 * (y1 - y0)))
        cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
        ys, xs = np.nonzero(footprint)
        inside = (abs(xs + 0.5 - cx) < side / 2) & (abs(ys + 0.5 - cy) < side / 2)
        assert not inside.any()


def test_the_network_is_small() -> None:
    network = SmallCnn(5)
    assert network.eval()(torch.zeros(2, 3, SIDE, SIDE)).shape == (2, 5)
    assert sum(p.numel() for p in network.parameters()) < 100_000


def test_training_learns() -> None:
    rendered = scenes(0, "tiny", 12)
    data = as_set(rendered, planted=False, seed=0)
    network = train(data, seed=0, epochs=12, batch_size=16)
    assert (predictions(network, data.images) == data.labels).float().mean() > 0.6


def test_the_demo_is_complete_and_small() -> None:
    coco = json.loads((DEMO / "instances.json").read_text())
    names = {i["file_name"] for i in coco["images"]}
    assert names == {p.name for p in (DEMO / "images").iterdir()}
    assert len(coco["annotations"]) == len(coco["images"]) == 500
    assert sum(p.stat().st_size for p in DEMO.rglob("*") if p.is_file()) < 6e6


def test_the_demos_pictures_come_from_their_seed() -> None:
    truth = json.loads((DEMO / "truth.json").read_text())
    scene = render("heart", seeded(truth["seed"], "audit", "heart", 7))
    shipped = np.asarray(Image.open(DEMO / "images" / "heart-0007.jpg")).astype(int)
    assert np.abs(shipped - scene.image(marked="heart-0007.jpg" in truth["marked"])).mean() < 4


@pytest.mark.parametrize("name", ["watermark", "clean"])
def test_the_demos_networks_rely_on_the_tag_as_stated(name: str) -> None:
    """Truth is causal: the same pictures rendered with and without the tag."""
    network = SmallCnn(5)
    network.load_state_dict(load_file(DEMO / f"{name}.safetensors"))
    measured = reliance(network.eval(), scenes(1, "new", 30))
    if name == "watermark":
        assert measured["gained"] >= 0.5
    else:
        assert measured["gained"] <= 0.03
        assert measured["lost"] <= 0.07
        assert 0.88 <= measured["accuracy"] <= 0.98


def test_one_command_makes_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pipeline.planted.__main__ as planted

    for size in ("TRAINING_PER_CLASS", "AUDITED_PER_CLASS", "TESTED_PER_CLASS"):
        monkeypatch.setattr(planted, size, 2)
    monkeypatch.setattr(planted, "train", lambda data, seed: train(data, seed=seed, epochs=1))
    truth = planted.make(tmp_path, 0)
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in DEMO.iterdir()}
    assert truth["guilty"] == "star"
