from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.report.comparability import (
    ABSENT,
    config_differences,
    named,
    origins,
    provenance_differences,
    warnings,
)
from tests.report.stored_runs import effect, run

FIRST, SECOND = "20261101T000000Z-aaaaaa", "20261102T000000Z-bbbbbb"
STATES = {"a": "CLEAR", "b": "CLEAR"}


@pytest.fixture
def pair(tmp_path):
    return [run(tmp_path, STATES, run_id=i) for i in (FIRST, SECOND)]


def changed(pair, **changes):
    return [pair[0], replace(pair[1], **changes)]


def sentences(runs):
    return [w.sentence for w in warnings(runs)]


def test_runs_that_differ_in_their_place_only_do_not_differ(pair):
    assert pair[0].config["run.folder"] != pair[1].config["run.folder"]
    assert config_differences(pair) == ()
    assert provenance_differences(pair) == ()
    assert warnings(pair) == ()


def test_settings_that_differ_one_value_per_run(pair):
    config = {**pair[1].config, "judge.delta": 0.1, "plan.new": None}
    found = config_differences(changed(pair, config=config))
    assert [(d.key, d.values) for d in found] == [("judge.delta", (0.05, 0.1)), ("plan.new", (ABSENT, None))]
    assert "judge's rules differ (judge.delta)" in sentences(changed(pair, config=config))[0]


def test_origins_name_weights_by_role_and_packages_by_name(pair):
    provenance = {**pair[1].provenance, "weights_sha256": {"model": "v" * 64}, "packages": {"torch": "3.0"}}
    found = provenance_differences(changed(pair, provenance=provenance))
    assert {d.key for d in found} == {"weights_sha256.model", "packages.torch"}
    assert origins(pair[0])["weights_sha256.model"] == "w" * 64


def test_another_dataset_is_the_first_doubt(pair):
    runs = changed(pair, provenance={**pair[1].provenance, "dataset_sha256": "e" * 64}, images=pair[1].images.iloc[2:])
    assert "8 in the baseline and 6 here" in sentences(runs)[0]
    assert "6 images are in both" in sentences(runs)[0]


def test_other_classes(pair):
    model = replace(pair[1].model, classes=pair[1].model.classes[:1])
    assert "only in the baseline: b" in sentences(changed(pair, models=(model,)))[0]
    assert "only here: b" in sentences([replace(pair[0], models=(model,)), pair[1]])[0]


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (effect("a", version=2), "Other signals decided: removed_excess version 1, here 2."),
        (effect("a", signal="new_signal"), "removed_excess only in the baseline, new_signal only here"),
        (effect("a", role="lead"), "Other signals decided: removed_excess only in the baseline."),
    ],
)
def test_other_signals(tmp_path, pair, evidence, said):
    other = run(tmp_path / "other", STATES, evidence={c: (replace(evidence, class_name=c),) for c in STATES})
    assert any(said in s for s in sentences([pair[0], other]))


def test_how_many_places_were_tried_and_which_moved_is_no_other_signal(tmp_path):
    def tried(root, *numbers, moving):
        places = [effect("a", signal=f"place:{n}", role="place") for n in numbers]
        own = (effect("a"), *places, effect("a", signal="place:moving", role=moving))
        return run(tmp_path / root, STATES, evidence={"a": own})

    pair = [tried("one", 1, moving="place"), tried("two", 1, 2, 3, moving="lead")]
    assert warnings(pair) == ()
    newer = replace(pair[1].model.classes[0].evidence[1], version=2)
    classes = (replace(pair[1].model.classes[0], evidence=(effect("a"), newer)), *pair[1].model.classes[1:])
    changed_place = replace(pair[1], models=(replace(pair[1].model, classes=classes),))
    assert sentences([pair[0], changed_place]) == ["Other signals decided: place version 1, here 2."]


def test_other_methods(pair):
    model = replace(pair[1].model, methods=({"name": "saliency", "version": "3"},))
    assert sentences(changed(pair, models=(model,))) == [
        "Other attribution methods or leads were used: method saliency version 2, here 3."
    ]


def test_a_doubt_is_said_once_with_its_runs(pair):
    other = replace(pair[1], provenance={**pair[1].provenance, "dataset_sha256": "e" * 64})
    (found,) = warnings([pair[0], other, pair[1], other])
    assert found.runs == (1, 3)


def test_long_lists_are_counted():
    assert named([str(i) for i in range(8)]) == "0, 1, 2, 3, 4 and 3 more"
    assert named(["a"]) == "a"
