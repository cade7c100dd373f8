"""The plan of the benchmark: reproducible, mixed, and with the held-out kinds kept apart."""

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


def test_the_development_plan_knows_no_held_out_kind() -> None:
    development, sources = plan("development")
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
