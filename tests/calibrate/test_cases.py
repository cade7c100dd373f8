"""The plan of the benchmark: reproducible, mixed, and with the held-out kinds kept apart."""

import hashlib
import json
from dataclasses import asdict, replace

import pytest
import yaml

from pipeline.calibrate.cases import DEGRADED, HARMLESS, Plan
from pipeline.config import packaged
from pipeline.planted.held_out import HELD_OUT
from pipeline.planted.plants import DEVELOPMENT


def plan(name: str) -> tuple[Plan, list[str]]:
    values = yaml.safe_load((packaged("conf") / "plan" / f"{name}.yaml").read_text())
    values["plan"].pop("_target_")
    return Plan(**values["plan"]), values["sources"]


def test_cases_are_reproducible_and_their_names_unique() -> None:
    first, again = plan("test")[0].cases(), plan("test")[0].cases()
    assert first == again
    assert len({c.name for c in first}) == len(first)


@pytest.mark.parametrize(
    ("name", "before"),
    [("development", "c6dccdccdccd928d"), ("test", "ad8e8f4a7e0eb875"), ("fewer_images", "c644f03496cc0f46")],
)
def test_cases_without_natural_context_are_as_they_were_before_there_was_any(name: str, before: str) -> None:
    cases = [asdict(c) for c in plan(name)[0].cases()]
    assert {c.pop("context") for c in cases} == {0.0}
    assert hashlib.sha256(json.dumps(cases, sort_keys=True).encode()).hexdigest()[:16] == before


def test_levels_of_context_change_nothing_else_in_a_case() -> None:
    without = plan("development")[0]
    among = replace(without, context=[0.2, 0.4]).cases()
    assert {c.context for c in among} == {0.2, 0.4}
    assert [replace(c, context=0.0) for c in among] == without.cases()


@pytest.mark.parametrize("name", ["development", "test"])
def test_the_plans_among_context_have_the_same_arms_and_new_pictures(name: str) -> None:
    among, sources = plan(f"{name}_context")
    assert sources == plan(name)[1]
    assert sorted(c.name for c in among.cases()) == sorted(c.name for c in plan(name)[0].cases())
    assert min(c.context for c in among.cases()) > 0
    used = {c.pictures for other in ("development", "test") for c in plan(other)[0].cases()}
    assert not {c.pictures for c in among.cases()} & used


@pytest.mark.parametrize("name", ["development", "development_context"])
def test_the_development_plans_know_no_held_out_kind(name: str) -> None:
    development, sources = plan(name)
    assert not set(DEVELOPMENT) & set(HELD_OUT)
    assert {c.kind for c in development.cases()} - {""} == set(DEVELOPMENT)
    assert sources == ["pipeline.planted.plants:DEVELOPMENT"]


def test_the_test_plan_has_new_pictures_and_enough_models() -> None:
    cases = plan("test")[0].cases()
    assert not {c.pictures for c in cases} & {c.pictures for c in plan("development")[0].cases()}
    arms = [c.arm for c in cases]
    assert arms.count("planted") >= 150
    assert sum(arm in HARMLESS for arm in arms) >= 150
    assert arms.count("balanced") * 3 >= sum(arm in HARMLESS for arm in arms)
    assert set(DEGRADED) <= set(arms)


def test_any_part_of_the_order_has_some_of_each() -> None:
    early = [c.arm for c in plan("test")[0].cases()[:60]]
    assert {"planted", "clean", "balanced", "context"} <= set(early)
