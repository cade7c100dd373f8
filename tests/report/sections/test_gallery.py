from __future__ import annotations

from dataclasses import replace

from pipeline.report.sections.gallery import GallerySection
from tests.report.markup import parse

SECTION = GallerySection(limit=24)


def test_each_picture_has_its_maps_and_numbers(realistic):
    document = parse(SECTION(realistic))
    shown = realistic.pictures[realistic.pictures["kind"] != "edit"]
    assert len(document.all("figure")) == len(shown)
    assert len(document.all("img", class_="heat")) == sum(len(h) for h in shown["heats"])
    scores = realistic.findings[0].observed.scores
    row = scores[(scores["id"] == shown.iloc[0]["id"]) & (scores["method"] == "grad_cam")].iloc[0]
    assert f"{100 * row['inside_share']:.0f}\u202f% inside, ×{row['lift']:.2f}" in document.text


def test_telling_comes_before_control(realistic):
    horses = realistic.pictures["class"] == "horse"
    mixed = realistic.pictures.assign(
        kind=realistic.pictures["kind"].mask(horses & (realistic.pictures["rank"] == 0), "control")
    )
    html = SECTION(replace(realistic, pictures=mixed))
    assert html.index("The most telling images") < html.index("Drawn at random")


def test_how_many_are_shown_is_said(realistic):
    text = parse(GallerySection(limit=2)(realistic)).words
    assert "8 of 60 audited images have pictures here; 3 classes have none." in text


def test_an_image_without_scores_is_shown_without_numbers(realistic):
    first = realistic.findings[0]
    bare = replace(first, observed=replace(first.observed, scores=first.observed.scores.iloc[:0]))
    assert "n/a" in SECTION(replace(realistic, findings=(bare,)))
