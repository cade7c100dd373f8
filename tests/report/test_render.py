from __future__ import annotations

import math

import pytest

from pipeline.report.render import count, effect, lift, p_value, percent, relative_url, unit_words, words


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (percent(0.414), "41\u202f%"),
        (percent(0.4149, 1), "41.5\u202f%"),
        (percent(math.nan), "n/a"),
        (lift(0.5), "×0.50"),
        (effect(0.657, "share"), "+66"),
        (effect(-0.05, "share"), "\u22125"),
        (effect(0.001, "share"), "0"),
        (effect(-0.001, "share"), "0"),
        (effect(0.2, "share", False), "20"),
        (effect(0.74, "AUC"), "+0.74"),
        (effect(math.nan, "share"), "n/a"),
        (effect(0.2, "share of images"), "+20"),
        (unit_words("share of images"), "percentage points"),
        (unit_words("logit"), "logit"),
        (p_value(0.0004), "< .001"),
        (p_value(0.0123), "= .012"),
        (p_value(1.0), "= 1"),
        (p_value(math.nan), "n/a"),
        (count(12345), "12,345"),
        (words("object_removed"), "object removed"),
        (words("outside_keenest"), "outside transplant, the donors that say the class most"),
        (words("place:1"), "place 1"),
        (words("place: the top edge"), "place: the top edge"),
        (words("property:sharpness"), "property: sharpness"),
        (words("property:layer"), "property: layer over the picture"),
        (words("confirm:in"), "donors at random"),
        (words("confirm_own:band"), "control: from its own class"),
        (words("attribution_lead:grad_cam"), "attribution lead: grad cam"),
    ],
)
def test_numbers_read(found, expected):
    assert found == expected


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("img/a b.webp", "./img/a%20b.webp"),
        ("img/50%#?.webp", "./img/50%25%23%3F.webp"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("//host/x", "./host/x"),
    ],
)
def test_urls_stay_beside_the_page(path, url):
    assert relative_url(path) == url
