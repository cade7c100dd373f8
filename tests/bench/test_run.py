"""The bench counts what an audit does: passes by definition, time by part, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig

from pipeline.bench.run import Bench, bench, lines
from pipeline.config import build
from pipeline.types import AuditError
from tests.test_audit import carry_out, options
from tests.test_main import run
from tests.worlds import write_world

Compose = Callable[..., DictConfig]
SMALL = ("effort=fast", "methods=[saliency,input_x_gradient,occlusion]", "run.batch_size=16")


@pytest.fixture
def measured(composed: Compose, tmp_path: Path) -> Bench:
    audit, _, _ = build(composed(*options(write_world(tmp_path / "world", 10), "ObjectReader"), *SMALL))
    return bench(audit)


def test_passes_are_those_of_the_definitions(measured: Bench) -> None:
    of = {c.part: c for c in measured.costs}
    first = of["prediction + saliency + input_x_gradient"]
    assert (first.forward, first.both) == (0, 1)
    windows = np.ceil((32 - 6) / 3) + 1  # a window of 6 pixels, a stride of 3, the last one cut off
    assert of["occlusion"].forward == 1 + windows**2
    assert of["object_removed"].forward == of["object_only"].forward == 2
    assert of["decoding"].forward == of["scoring"].forward == of["weighing the evidence"].forward == 0
    assert measured.images == 40
    assert 16 <= measured.measured <= 40


def test_the_whole_is_the_sum_of_its_parts(measured: Bench) -> None:
    total = measured.total
    assert total.seconds == pytest.approx(sum(c.seconds for c in measured.costs))
    assert total.floor == pytest.approx(sum(c.floor for c in measured.costs))
    for cost in measured.costs:  # at the floors of its own moment
        assert (cost.floor > 0) == (cost.forward + cost.both > 0)
    assert total.ratio == pytest.approx(total.floor / total.seconds)
    text = "\n".join(lines(measured))
    assert "per image, measured on" in text
    assert "an audit of these 40 images takes about" in text
    assert all(c.part in text for c in measured.costs)


def test_changed_images_are_counted_for_the_whole_dataset(composed: Compose, tmp_path: Path) -> None:
    """`max_donors` caps what a large dataset costs; a few images alone would not show it."""
    manifest = write_world(tmp_path / "world", 30)
    config = composed(
        *options(manifest, "ObjectReader"),
        "methods=[]",
        "interventions=[outside_transplant]",
        "interventions.outside_transplant.max_donors=6",
        "run.batch_size=16",
    )
    audit, _, _ = build(config)
    transplants = next(c for c in bench(audit).costs if c.part == "outside_transplant")
    results, _ = carry_out(config, tmp_path / "reports")
    done = len(results.findings[0].observed.trials) / 120
    assert transplants.forward == pytest.approx(done, rel=0.05)


def test_a_fast_engine_is_measured_against_the_passes_that_it_saves(composed: Compose, tmp_path: Path) -> None:
    manifest = write_world(tmp_path / "world", 6)
    engine = "methods.occlusion.engine=incremental"
    audit, _, _ = build(composed(*options(manifest, "ObjectReader"), "methods=[occlusion]", "interventions=[]", engine))
    occlusion = next(c for c in bench(audit).costs if c.part == "occlusion")
    assert occlusion.forward > 50


def test_the_verb_prints_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    manifest = write_world(tmp_path / "world", 6)
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "bench", *options(manifest, "ObjectReader"), "methods=[saliency]") == 0
    assert "the whole audit" in capfd.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["world"]


def test_an_empty_dataset_is_an_error(composed: Compose, tmp_path: Path) -> None:
    empty = tmp_path / "manifest.csv"
    empty.write_text("path,label,boxes,mask\n")
    audit, _, _ = build(composed(*options(empty, "ObjectReader")))
    with pytest.raises(AuditError, match="no image"):
        bench(audit)
