"""What the rows of classes.csv say beside the numbers of each signal."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from pipeline.run.classes import class_rows
from tests.report.stored_runs import effect, results


def test_what_carries_a_class_stands_early_in_its_row() -> None:
    place = effect("a", 0.6, signal="place:1", role="place", carrier="the top edge")
    around = effect("a", 0.9, signal="outside_transplant", role="surroundings", carrier="the surroundings")
    again = replace(around, signal="outside_transplant_matched")
    found = results({"a": "SHORTCUT", "b": "CLEAR"}, evidence={"a": (around, again, place)}).findings[0]
    whole, a, b = found.verdicts
    table = class_rows(replace(found, verdicts=(whole, replace(a, carried_by=(place, around, again)), b)))
    early = ["model", "class", "verdict", "carried_by", "carrier_role", "strength", "strength_low", "strength_high"]
    assert list(table.columns[:8]) == early
    row, other = table.iloc[0], table.iloc[1]
    assert row["carried_by"] == "the top edge; the surroundings"  # each once, the strongest first
    assert row["carrier_role"] == "place"
    assert (row["strength"], row["strength_low"], row["strength_high"]) == (0.6, 0.5, 0.7)
    assert row["place:1"] == 0.6
    assert row["outside_transplant_matched_low"] == again.low
    assert (other["carried_by"], other["carrier_role"]) == ("", "")
    assert pd.isna(other["strength"])
    assert pd.isna(other["strength_high"])


def test_leads_are_columns_by_method_and_have_no_p_value() -> None:
    details = {"method": "saliency", "lift": 1.2, "place": "top", "share": 0.4, "others_share": 0.1}
    lead = effect("a", 0.3, signal="attribution_lead:saliency", role="lead", details=details)
    other = effect("a", 0.3, signal="data_probe", role="lead")
    table = class_rows(results({"a": "CLEAR"}, evidence={"a": (effect("a"), lead, other)}).findings[0])
    assert table.loc[0, "inside_share:saliency"] == 0.3
    assert table.loc[0, "hotspot_place:saliency"] == "top"
    assert not [c for c in table if c.startswith(("attribution_lead", "data_probe"))]
