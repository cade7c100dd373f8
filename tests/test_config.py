"""Every mistake of a configuration is reported at once, with its key and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from omegaconf import DictConfig, OmegaConf

from pipeline.audit import Audit
from pipeline.config import ConfigError, build, mistakes, packaged

Compose = Callable[..., DictConfig]
SINGULAR = ("judge", "gate", "report", "run")
PLURAL = ("methods", "metrics", "interventions", "signals", "sections")


def test_the_demo_builds(composed: Compose) -> None:
    audit, text, digest = build(composed("experiment=demo"))
    assert isinstance(audit, Audit)
    assert audit.model_name == "watermark"
    assert audit.twin is not None
    assert "${" not in text
    assert len(digest) == 64


@pytest.mark.parametrize(
    "option", [f"{g}=[{p.stem}]" for g in PLURAL for p in sorted((packaged("conf") / g).glob("*.yaml"))]
)
def test_every_option_of_every_list_builds(composed: Compose, option: str) -> None:
    build(composed("experiment=demo", option))


@pytest.mark.parametrize(
    "option",
    [
        f"{g}={p.stem}"
        for g in ("judge", "gate", "report", "run")
        for p in sorted((packaged("conf") / g).glob("*.yaml"))
    ],
)
def test_every_option_of_every_choice_builds(composed: Compose, option: str) -> None:
    build(composed("experiment=demo", option))


def test_every_yaml_says_what_it_is_for() -> None:
    for path in packaged("conf").rglob("*.yaml"):
        lines = path.read_text(encoding="utf-8").splitlines()
        comments = [line for line in lines if line.startswith("# ") and not line.startswith("# @package")]
        assert comments, f"{path} has no comment that says what it is for"


def test_all_mistakes_come_at_once(composed: Compose) -> None:
    config = composed("experiment=demo")
    OmegaConf.set_struct(config, False)
    config.sede = 3
    config.run.seed = "hello"
    config.run.batch_size = 0
    config.methods.occlusion.windw = 0.2
    config.interventions.object_removed.fills = ["lava"]
    config.metrics.nope = {"_target_": "pipeline.metrics.nope.Nope"}
    del config.gate["mode"]
    with pytest.raises(ConfigError) as caught:
        build(config)
    text = str(caught.value)
    assert "sede: unknown; Audit has dataset, model" in text
    assert "run.seed: expected an integer, got 'hello'" in text
    assert "methods.occlusion.windw: unknown; Occlusion has" in text
    assert "interventions.object_removed: `fills` must name one or more of smooth" in text
    assert "metrics.nope._target_: 'pipeline.metrics.nope.Nope' cannot be imported" in text
    assert "gate.mode: required" in text


def test_a_plugins_own_complaint_carries_its_key(composed: Compose) -> None:
    with pytest.raises(ConfigError, match="run: `batch_size` must be 1 or more, got 0"):
        build(composed("experiment=demo", "run.batch_size=0"))


def test_required_keys_are_named(composed: Compose) -> None:
    with pytest.raises(ConfigError) as caught:
        build(composed("experiment=voc_folder"))
    for key in ("dataset.root", "model.name", "run.name"):
        assert f"{key}: required" in str(caught.value)


def test_an_unknown_interpolation_is_a_mistake(composed: Compose) -> None:
    with pytest.raises(ConfigError, match="does not resolve"):
        build(composed("experiment=demo", "model_name=${nowhere}"))


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A user's own plugin, outside the package."""

    share: float
    names: list[str]
    kind: str | None = None

    def __post_init__(self) -> None:
        if self.share > 1:
            raise ValueError(f"`share` must be at most 1, got {self.share}")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"share": 1, "names": ["a"]}, []),
        ({"share": 0.5, "names": [], "kind": None}, []),
        ({"share": True, "names": ["a"]}, ["part.share: expected a number, got True"]),
        ({"share": 0.5, "names": "a"}, ["part.names: expected a list of a text, got 'a'"]),
        ({"share": 0.5, "names": [1]}, ["part.names: expected a list of a text, got [1]"]),
        ({"share": 0.5, "names": [], "kind": 3}, ["part.kind: expected a text or null, got 3"]),
        ({"names": []}, ["part.share: required"]),
        ({"share": "???", "names": []}, ["part.share: required"]),
        ({"share": 2, "names": []}, ["part: `share` must be at most 1, got 2"]),
    ],
)
def test_values_are_checked_against_the_dataclass(values: dict[str, object], expected: list[str]) -> None:
    node = {"_target_": f"{__name__}.Plugin", **values}
    found = mistakes({"part": node})
    assert len(found) == len(expected)
    for line, wanted in zip(found, expected, strict=True):
        assert wanted in line
