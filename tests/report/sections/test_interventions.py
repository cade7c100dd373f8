from __future__ import annotations

import pytest

from pipeline.report.sections.interventions import InterventionsSection
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


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="`limit`"):
        InterventionsSection(limit=0, examples=1)
