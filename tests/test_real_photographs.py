"""Whole audits of real photographs, where they lie beside the checkout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from tests.test_audit import carry_out

Compose = Callable[..., DictConfig]
MEAN_STD = "mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]"
PETS = {
    "Persian": 283,
    "beagle": 162,
    "boxer": 242,
    "english_setter": 212,
    "newfoundland": 256,
    "pug": 254,
    "samoyed": 258,
    "yorkshire_terrier": 187,
}


@pytest.mark.slow
@pytest.mark.shared
def test_the_animals_held_out_photographs(composed: Compose, shared_data: Path, tmp_path: Path) -> None:
    """The README beside the data: 82 % right on the images of test.txt."""
    root = shared_data / "animals"
    config = composed(
        "experiment=voc_folder",
        f"dataset.root={root}",
        "dataset.split=test.txt",
        "model.name=shufflenet_v2_x1_0",
        "model.weights=null",
        f"model.checkpoint={root / 'shufflenet_v2_x1_0.safetensors'}",
        "model.classes=[kangaroo,raccoon]",
        "model.preprocessing={_target_: pipeline.models.preprocessing.Preprocessing, resize: [160, 160], crop: null, "
        f"{MEAN_STD}}}",
        "methods=[saliency,grad_cam]",
        "run.name=animals",
    )
    results, folder = carry_out(config, tmp_path)
    counts = results.counts
    assert counts["total"] == counts["audited"] + counts["skipped"] + counts["failed"] == 90
    assert results.findings[0].accuracy == pytest.approx(0.82, abs=0.03)
    assert (folder / "report" / "index.html").is_file()
    verdicts = {v.scope: v for v in results.findings[0].verdicts}
    assert set(verdicts) == {"model", "kangaroo", "raccoon"}
    assert "two_classes" in verdicts["kangaroo"].guards


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("regions", ["mask", "box"])
def test_squeezenet_on_the_pets(composed: Compose, shared_data: Path, tmp_path: Path, regions: str) -> None:
    """The README beside the data: top-1 0.755; Grad-CAM's share inside the mask was 0.64 on eight of them."""
    photographs = shared_data / "photographs"
    config = composed(
        "experiment=voc_folder",
        f"dataset.root={photographs / 'pets-masks'}",
        "dataset.images=images",
        *(["dataset.masks=masks"] if regions == "mask" else []),
        "model.name=squeezenet1_1",
        "model.weights=IMAGENET1K_V1",
        f"model.checkpoint={photographs / 'models' / 'squeezenet1_1_imagenet.safetensors'}",
        "+class_map={" + ", ".join(f"{k}: {v}" for k, v in PETS.items()) + "}",
        "run.target=label",
        "methods=[grad_cam]",
        "interventions=[object_removed]",
        "run.name=pets",
    )
    results, _ = carry_out(config, tmp_path)
    findings = results.findings[0]
    assert results.counts["audited"] == 53
    assert findings.accuracy == pytest.approx(0.755, abs=0.02)
    assert set(findings.observed.images["region_kind"]) == {regions}
    shares = findings.observed.scores["inside_share"]
    area = findings.observed.images["area_fraction"]
    assert shares.mean() > area.mean() + 0.1
