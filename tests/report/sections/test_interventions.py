from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from pipeline.report.sections.interventions import InterventionsSection
from tests.report.fake_results import place
from tests.report.markup import parse

SECTION = InterventionsSection(limit=24, examples=6)


def test_shares_equal_the_trials(realistic):
    text = parse(SECTION(realistic)).words
    trials = realistic.findings[0].observed.trials
    for _, rows in trials.groupby(["intervention", "arm", "recipient_class"]):
        assert f"{100 * rows['stays'].mean():.0f}\u202f% of {len(rows)}" in text


def test_pull_counts_other_classes_objects_only(realistic):
    trials = realistic.findings[0].observed.trials
    others = trials[(trials["donor_class"] == "horse") & (trials["recipient_class"] != "horse")]
    share = (others["predicted"] == "horse").mean()
    html = SECTION(realistic)
    assert f"{100 * share:.0f}\u202f% of other classes&#39; objects on the surroundings of horse" in html


def test_an_example_stands_beside_its_original(realistic):
    pictures = realistic.pictures
    edit = pictures[pictures["kind"] == "edit"].iloc[0]
    sources = [e.attributes["src"] for e in parse(SECTION(realistic)).all("img")]
    assert sources[:2] == [f"./{edit['original']}", f"./{edit['picture']}"]


def test_only_flagged_classes_are_ringed(realistic):
    assert parse(InterventionsSection(limit=1, examples=1)(realistic)).all("div", class_="hit")
    clear = realistic.findings[1].observed.model
    html = SECTION(realistic)
    assert "hit" not in html[html.index(f">{clear}<") :]


def test_no_examples_on_request(realistic):
    assert not parse(InterventionsSection(limit=1, examples=0)(realistic)).all("img")


def test_places_have_a_row_per_class_and_place_and_what_carries_is_bold(realistic):
    first = realistic.findings[0]
    moving = replace(place("cat", 0.07, signal="place:moving"), role="lead")
    none = place("train", float("nan"), signal="place:2", undefined="no place could be exchanged")
    given = replace(first, evidence=(*first.evidence, moving, none))
    html = SECTION(replace(realistic, findings=(given,)))
    table = html[html.index("<b>Places</b>") :].split("</table>")[0]
    text = parse(table).words
    assert "horsethe bottom right corner288 pixelsat random60\u202f%2\u202f%+58 [+48, +68]< .00190\u202f%" in text
    assert "a place that movesat random9\u202f%2\u202f%+7 [\u22123, +17].600" in text
    assert "no place could be exchanged" in text
    assert table.count("<b>the bottom right corner</b>") == 1  # of the class that it carries
    assert "nan" not in table


def test_properties_have_a_column_each_and_leads_are_called_so(realistic):
    first = realistic.findings[0]
    blur = replace(place("horse", 0.4), signal="property:sharpness", role="property", carrier="sharpness", details={})
    colour = replace(blur, signal="property:colour", role="lead", estimate=0.2, low=0.1, high=0.3)
    verdicts = (first.verdicts[0], replace(first.verdicts[1], carried_by=(blur,)), *first.verdicts[2:])
    given = replace(first, verdicts=verdicts, evidence=(*first.evidence, blur, colour))
    html = SECTION(replace(realistic, findings=(given,)))
    table = html[html.index("<b>Properties</b>") :].split("</table>")[0]
    text = parse(table).words
    assert "Sharpness" in text
    assert "Colour and brightnesslead" in text
    assert "horse+40 [+30, +50]+20 [+10, +30]" in text
    assert "<b>+40</b>" in table
    assert "<b>+20</b>" not in table
    assert text.count("not tried") == 2 * 4
    assert "<b>Properties</b>" not in SECTION(realistic)


def test_searches_controls_and_layers_are_no_table_of_their_own(realistic):
    first = realistic.findings[0]
    trials = first.observed.trials
    more = [
        trials.head(3).assign(intervention=name, arm=arm)
        for name, arm in (
            ("places", "search:in"), ("own_places", "probe:in"), ("shared_layer", "over"), ("hole_control", "smooth"),
        )
    ]  # fmt: skip
    seen = replace(first.observed, trials=pd.concat([trials, *more], ignore_index=True))
    changed = replace(realistic, findings=(replace(first, observed=seen), realistic.findings[1]))
    assert SECTION(changed) == SECTION(realistic)


def test_objects_that_were_only_moved_at_home_are_not_on_other_surroundings(realistic):
    first = realistic.findings[0]
    trials = first.observed.trials
    moved = trials[trials["intervention"] == "outside_transplant"].assign(arm="moved", predicted="cat")
    seen = replace(first.observed, trials=pd.concat([trials, moved], ignore_index=True))
    html = SECTION(replace(realistic, findings=(replace(first, observed=seen),)))
    plain = SECTION(replace(realistic, findings=realistic.findings[:1]))
    start, end = "by donor</b>", "</table>"
    assert html.split(start)[1].split(end)[0] == plain.split(start)[1].split(end)[0]


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="`limit`"):
        InterventionsSection(limit=0, examples=1)
