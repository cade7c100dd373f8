from __future__ import annotations

from dataclasses import replace

import pandas as pd

from pipeline.report.sections.images import ImagesSection
from pipeline.report.sections.review import ReviewSection
from tests.report import fake_results
from tests.report.markup import parse


def test_the_rule_of_the_pictures_is_told(realistic):
    images = realistic.findings[0].observed.images
    chosen = realistic.pictures.loc[realistic.pictures["kind"] != "edit", "id"].nunique()
    words = parse(ImagesSection()(realistic)).words
    assert f"{chosen} of {len(images)} images have pictures: {chosen} because they are the most telling" in words
    album = pd.DataFrame({"model": "m", "row": 0, "id": images["id"], "picture": "", "mask": "", "heats": None})
    assert f"All {len(images)} images have pictures." in parse(ImagesSection()(replace(realistic, album=album))).words
    assert "All 0 images" in parse(ImagesSection()(fake_results.empty())).words


def test_earlier_reviews_are_listed_and_lapsed_ones_marked(realistic):
    one = {
        "kind": "image", "fingerprint": "", "model": "", "class": "cat", "state": "", "image": "a<b.jpg", "note": "dim",
        "decision": "data error", "reviewer": "", "time": "2026-01-01", "expires": "2026-02-01",
    }  # fmt: skip
    two = one | {"image": "c.jpg", "expires": ""}
    words = parse(ReviewSection()(replace(realistic, reviews=(one, two)))).words
    assert "a<b.jpg" in words
    assert words.count("(lapsed)") == 1
    assert "no end" in words
    assert "Earlier reviews" not in parse(ReviewSection()(realistic)).words
