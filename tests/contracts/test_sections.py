"""What every section in conf/sections promises."""

from __future__ import annotations

import importlib
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import yaml

from tests.report import fake_results
from tests.report.markup import parse

CONF = sorted((Path(__file__).parents[2] / "conf" / "sections").glob("*.yaml"))
KINDS = ("realistic", "hostile", "empty", "large")


def build(path: Path):
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    module, name = config.pop("_target_").rsplit(".", 1)
    return getattr(importlib.import_module(module), name)(**config)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return {
        "realistic": fake_results.realistic(tmp_path_factory.mktemp("realistic"), per_class=4),
        "hostile": fake_results.hostile(tmp_path_factory.mktemp("hostile")),
        "empty": fake_results.empty(),
        "large": fake_results.large(300),
    }


@pytest.mark.parametrize("path", CONF, ids=lambda p: p.stem)
def test_yaml_says_what_it_is_and_where_it_goes(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"# @package sections.{path.stem}"
    assert lines[1].startswith("# ")
    section = build(path)
    assert is_dataclass(section)
    assert section.__dataclass_params__.frozen
    assert section.title
    assert section.title not in {f.name for f in fields(section)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", CONF, ids=lambda p: p.stem)
def test_section_is_a_closed_escaped_fragment(path, kind, results):
    html = build(path)(results[kind])
    assert isinstance(html, str)
    assert html.strip()
    document = parse(html)
    assert document.unbalanced == []
    tags = {e.tag for e in document.elements}
    assert not tags & {"script", "style", "iframe", "object", "embed", "form", "h1", "h2", "b>"}
    assert not any(name.startswith("on") for e in document.elements for name in e.attributes)
    assert "http://" not in html
    assert "https://" not in html


@pytest.mark.parametrize("path", CONF, ids=lambda p: p.stem)
def test_section_labels_what_it_draws(path, results):
    document = parse(build(path)(results["realistic"]))
    assert all("alt" in e.attributes for e in document.all("img"))
    assert all(e.attributes.get("loading") == "lazy" for e in document.all("img"))
    assert all("scope" in e.attributes for e in document.all("th"))
    assert len(document.all("caption")) == len(document.all("table"))
    charts = [e for e in document.all("svg") if "chart" in e.attributes.get("class", "")]
    assert len(document.all("title")) == len(charts)


@pytest.mark.parametrize("path", CONF, ids=lambda p: p.stem)
def test_section_does_not_grow_with_the_dataset(path, results):
    assert len(build(path)(results["large"])) < 250_000
