from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.report.explorer import SHARD, columns, rounded, script, trial_pieces, write_data
from tests.report import fake_results


def read(columns: dict[str, Any], model: int, key: str) -> list[str]:
    """Names of the images or of one model, from their numbers."""
    source = columns["images"] if key == "class" else columns["models"][model]
    return ["" if i < 0 else columns["names"][i] for i in source[key]]


def test_columns_are_the_tables(realistic):
    found = columns(realistic)
    for m, f in enumerate(realistic.findings):
        seen, own = f.observed, found["models"][m]
        assert found["images"]["id"] == seen.images["id"].tolist()
        assert read(found, m, "class") == seen.images["class"].tolist()
        assert read(found, m, "said") == seen.images["predicted"].tolist()
        assert own["probability"] == pytest.approx(seen.images["predicted_probability"], abs=5e-4)
        scores = seen.scores[seen.scores["method"] == "grad_cam"].set_index("id")["inside_share"]
        shares = [np.nan if v is None else v for v in own["scores"]["grad_cam"]["inside_share"]]
        assert shares == pytest.approx(scores.reindex(seen.images["id"]).tolist(), abs=5e-4, nan_ok=True)
        removed = seen.trials[seen.trials["intervention"] == "object_removed"].drop_duplicates("recipient")
        said = dict(zip(removed["recipient"], removed["predicted"], strict=True))
        names = ["" if i < 0 else found["names"][i] for i in own["changed"]["object_removed"]]
        assert names == [said.get(i, "") for i in seen.images["id"]]
    shown = realistic.pictures[realistic.pictures["model"] == realistic.findings[0].observed.model]
    assert len(found["models"][0]["pictures"]) == shown.loc[shown["kind"] != "edit", "id"].nunique()


def test_every_trial_is_in_one_piece(realistic):
    for m, f in enumerate(realistic.findings):
        pieces = {piece: rows for model, piece, rows in trial_pieces(realistic) if model == m}
        assert sorted(pieces) == columns(realistic)["pieces"][m]
        assert sum(len(t) for p in pieces.values() for t in p["rows"].values()) == len(f.observed.trials)
        assert all(int(row) // SHARD == piece for piece, p in pieces.items() for row in p["rows"])
        first = f.observed.trials.iloc[0]
        row = f.observed.images["id"].tolist().index(first["recipient"])
        piece = pieces[row // SHARD]
        trial = piece["rows"][str(row)][0]
        said = [piece["names"][trial[k]] for k in (0, 1, 3)]
        assert said == [first["intervention"], first["arm"], first["predicted"]]
        assert trial[5] == pytest.approx(first["probability_after"], abs=5e-4)


def test_a_twin_in_another_order_or_with_other_images_is_read_by_id(realistic):
    first, twin = realistic.findings
    reversed_ = twin.observed.images.iloc[::-1].reset_index(drop=True)
    fewer = reversed_.iloc[1:].reset_index(drop=True)
    more = reversed_.assign(id=reversed_["id"].replace(reversed_["id"].iloc[0], "another.jpg"))
    expected = read(columns(realistic), 1, "said")
    for images, missing in ((reversed_, 0), (fewer, 1), (more, 1)):
        other = replace(realistic, findings=(first, replace(twin, observed=replace(twin.observed, images=images))))
        found = columns(other)
        said = read(found, 1, "said")
        assert said.count("not audited") == missing
        assert sum(a != b for a, b in zip(said, expected, strict=True)) == missing
        assert list(trial_pieces(other))


def test_scripts_cannot_be_read_as_markup_and_hold_what_they_were_given(hostile, tmp_path):
    value = {"</script>": ["<!--", "\u2028", "\udc80", None, 1.5]}
    text = script(value)
    assert "<" not in text
    assert text.isascii()
    assert json.loads(text) == value
    write_data(hostile, tmp_path)
    for path in (tmp_path / "data").iterdir():
        assert "<" not in path.read_text()
    with pytest.raises(ValueError):
        script(float("nan"))


def test_undefined_is_null_and_never_0():
    assert rounded([0.12345, float("nan"), np.inf, 0.0]) == [0.123, None, None, 0.0]


def test_nothing_audited_leaves_empty_columns():
    assert columns(fake_results.empty())["images"]["id"] == []
    assert columns(replace(fake_results.empty(), findings=()))["models"] == []


def test_the_place_over_the_images_is_the_strongest_that_carries_their_class(realistic):
    watermark, clean = columns(realistic)["models"]
    assert watermark["hotspots"] == {"horse": list(fake_results.MARK)}
    assert clean["hotspots"] == {}  # places were tried there too, and none carries a class
    first = realistic.findings[0]
    moving = fake_results.place("horse", 0.9, signal="place:moving")
    second = fake_results.place("horse", 0.5, signal="place:2", x0=1.04)
    around = replace(second, role="surroundings")
    for carried, found in (((moving, around), {}), ((moving, second, *first.verdicts[1].carried_by), {"horse": 1.0})):
        verdicts = (first.verdicts[0], replace(first.verdicts[1], carried_by=carried), *first.verdicts[2:])
        spots = columns(replace(realistic, findings=(replace(first, verdicts=verdicts),)))["models"][0]["hotspots"]
        assert {c: box[0] for c, box in spots.items()} == found


def test_the_steps_of_a_search_are_not_listed(realistic):
    first = realistic.findings[0]
    trials = first.observed.trials
    arms = ("search:in", "search_own:band", "probe:in", "confirm:in")
    more = [trials.head(2).assign(intervention="places", arm=arm) for arm in arms]
    seen = replace(first.observed, trials=pd.concat([trials, *more], ignore_index=True))
    ((_, _, piece),) = trial_pieces(replace(realistic, findings=(replace(first, observed=seen),)))
    listed = [t for own in piece["rows"].values() for t in own]
    assert len(listed) == len(trials) + 2
    assert [piece["names"][t[1]] for t in listed if piece["names"][t[0]] == "places"] == ["donors at random"] * 2
    steps = replace(first.observed, trials=more[0])
    only = replace(realistic, findings=(replace(first, observed=steps),))
    assert list(trial_pieces(only)) == []
    assert columns(only)["pieces"] == [[]]


def test_a_drawn_change_is_found_beside_its_trial(realistic):
    found = columns(realistic)["models"][0]["edits"]
    arms = {(e[0], e[1]) for own in found.values() for e in own}
    assert ("places", "donors at random") in arms
    assert ("object_removed", "smooth") in arms
