from __future__ import annotations

import re
from dataclasses import replace

from pipeline.judge import strength
from pipeline.report.reading import class_verdicts
from pipeline.report.sections.findings import FindingsSection, follows
from pipeline.run.reviews import fingerprint
from pipeline.types import Evidence, Results, Verdict
from tests.report.fake_results import MARK, place
from tests.report.markup import parse

SECTION = FindingsSection(limit=24, pictures=4)


def test_flagged_classes_have_a_card_and_the_others_none(realistic):
    html = SECTION(realistic)
    flagged = [v.scope for f in realistic.findings for v in class_verdicts(f) if v.state in ("SHORTCUT", "CONTEXT")]
    assert len(parse(html).all("article")) == len(flagged) > 1
    for finding in realistic.findings:
        for verdict in finding.verdicts[1:]:
            mark = fingerprint(finding.observed.model, verdict.scope, verdict.state)
            assert (f'id="finding-{mark}"' in html) == (verdict.state in ("SHORTCUT", "CONTEXT"))
    assert "more flagged classes" in FindingsSection(limit=1, pictures=1)(realistic)


def test_the_counts_are_the_trials(realistic):
    found = realistic.findings[0]
    worst = class_verdicts(found)[0].scope
    removed = found.observed.trials
    removed = removed[(removed["intervention"] == "object_removed") & (removed["recipient_class"] == worst)]
    first = removed.drop_duplicates("recipient")
    named = int((first["predicted"] == worst).sum())
    assert follows(found.observed.trials, worst) == (named, len(first))
    words = parse(SECTION(realistic)).words
    assert f"{named} of {len(first)} images are named {worst} without their object" in words
    assert f"{len(first) - named} of {len(first)} are not named so without it" in words


def test_an_earlier_review_stands_beside_the_verdict_until_it_lapses(realistic):
    found = realistic.findings[0]
    verdict = class_verdicts(found)[0]
    review = {
        "kind": "finding", "fingerprint": fingerprint(found.observed.model, verdict.scope, verdict.state),
        "model": found.observed.model, "class": verdict.scope, "state": verdict.state, "image": "", "reviewer": "Ada",
        "decision": "false alarm", "note": "a <b>known</b> tag", "time": "2026-01-01T00:00:00Z",
        "expires": "2999-01-01",
    }  # fmt: skip
    words = parse(SECTION(replace(realistic, reviews=(review,)))).words
    assert "reviewed: false alarm" in words
    assert "Reviewed as false alarm by Ada on 2026-01-01, until 2999-01-01: a <b>known</b> tag" in words
    lapsed = parse(SECTION(replace(realistic, reviews=(review | {"expires": "2026-02-01"},)))).words
    assert "reviewed: false alarm" not in lapsed
    assert "Was reviewed as false alarm by Ada on 2026-01-01, but that lapsed on 2026-02-01" in lapsed
    other = parse(SECTION(replace(realistic, reviews=(review | {"fingerprint": "0" * 12},)))).words
    assert "Ada" not in other


def test_no_pictures_and_no_trials_are_said_or_left_out(realistic):
    bare = replace(realistic, pictures=realistic.pictures.iloc[:0], album=None)
    html = SECTION(bare)
    assert "<img" not in html
    first = realistic.findings[0]
    untried = replace(first, observed=replace(first.observed, trials=first.observed.trials.iloc[:0]))
    assert "Removing the object was not tried." in parse(SECTION(replace(bare, findings=(untried,)))).words


def test_exemplars_and_counter_examples_are_of_their_kind(realistic):
    found = realistic.findings[0]
    worst = class_verdicts(found)[0].scope
    card = SECTION(realistic).split("<article")[1]
    removed = found.observed.trials
    removed = removed[(removed["intervention"] == "object_removed") & (removed["recipient_class"] == worst)]
    first = removed.drop_duplicates("recipient")
    named = dict(zip(first["recipient"], first["predicted"] == worst, strict=True))
    for word, expected in (("Exemplar", True), ("Counter-example", False)):
        ids = re.findall(rf'alt="{word} ([^"]+)"', card)
        assert all(named[i] is expected or bool(named[i]) is expected for i in ids)
    assert re.findall(r'alt="(?:Exemplar|Counter-example) ', card)


def evidence(role: str, name: str, estimate: float, carrier: str, **changes: object) -> Evidence:
    return replace(place(name, estimate), role=role, signal=role, carrier=carrier, step="", details={}, **changes)


def judged(realistic: Results, *verdicts: Verdict, **observed: object) -> Results:
    """The first model alone, with these verdicts on its classes."""
    first = realistic.findings[0]
    seen = replace(first.observed, **observed)
    found = replace(first, observed=seen, verdicts=(first.verdicts[0], *verdicts))
    return replace(realistic, findings=(found,))


def verdict(name: str, state: str, *carried: Evidence, **changes: object) -> Verdict:
    return Verdict(scope=name, state=state, reason=f"why {name}.", carried_by=carried, evidence=carried, **changes)


def cards(html: str) -> list[str]:
    return [parse("<article" + part.split("</article>")[0]).words for part in html.split("<article")[1:]]


def test_a_card_says_what_carries_the_class_and_how_strongly(realistic):
    around = evidence("surroundings", "horse", 0.31, "the surroundings")
    again = evidence("removal", "horse", 0.2, "the surroundings")
    (card,) = cards(SECTION(judged(realistic, verdict("horse", "SHORTCUT", place("horse", 0.58), around, again))))
    head = card[: card.index("why horse")]
    assert "mark: a place The bottom right corner +58 percentage points [+48, +68]" in head
    assert "also surroundings The surroundings +31 [+21, +41]" in head
    assert head.count("surroundings The surroundings") == 1  # once, however many tests say so
    assert "Look at the bottom right corner in the images below." in card
    assert "What carries the class, the bottom right corner, lies in the dashed frame." in card


def test_context_is_called_surroundings_and_never_a_mark(realistic):
    around = evidence("surroundings", "boat", 0.3, "the surroundings")
    (card,) = cards(SECTION(judged(realistic, verdict("boat", "CONTEXT", around))))
    assert "surroundings The surroundings +30 percentage points" in card
    assert "mark" not in card
    assert "Decide whether the model may use what usually surrounds" in card


def test_a_property_is_a_look_of_the_whole_picture(realistic):
    blur = replace(evidence("property", "cat", 0.4, "sharpness"), signal="property:sharpness")
    (card,) = cards(SECTION(judged(realistic, verdict("cat", "SHORTCUT", blur))))
    assert "mark: a look of the whole picture Sharpness +40 percentage points" in card
    assert 'class="spot"' not in SECTION(judged(realistic, verdict("cat", "SHORTCUT", blur)))


def test_cards_stand_in_the_order_of_the_judge(realistic):
    verdicts = [
        verdict("boat", "CONTEXT", evidence("surroundings", "boat", 0.9, "the surroundings")),
        verdict("horse", "SHORTCUT", evidence("surroundings", "horse", 0.99, "the surroundings")),
        verdict("train", "SHORTCUT", place("train", 0.3)),
        verdict("cat", "SHORTCUT", place("cat", 0.6), evidence("surroundings", "cat", 0.1, "the surroundings")),
        verdict("bottle", "CLEAR"),
    ]
    given = judged(realistic, *verdicts)
    html = SECTION(given)
    order = re.findall(r"<h4><bdi[^>]*>(\w+)", html)
    assert order == ["cat", "train", "horse", "boat"]
    flagged = [v for v in verdicts if v.state == "SHORTCUT"]
    assert order[:3] == [v.scope for v in sorted(flagged, key=strength, reverse=True)]


def test_the_place_is_framed_on_the_pictures_the_exchange_and_the_map(realistic):
    html = SECTION(realistic)
    card = html.split("<article")[1]
    x0, y0, x1, y1 = MARK
    frame = f'x="{x0:.2f}" y="{y0:.2f}" width="{x1 - x0:.2f}" height="{y1 - y0:.2f}"'
    spots = re.findall(r'<g class="spot">(.*?)</g>', card)
    assert spots
    assert all(frame in spot for spot in spots)
    pairs = card[card.index('class="pairs"') : card.index("Speaks for it")]
    assert pairs.count('class="spot"') == 2 * pairs.count('class="pair"') > 0  # before and after
    assert "given the bottom right corner of horse" in parse(pairs).words
    context = html.split("<article")[2]
    assert 'class="spot"' not in context


def test_of_a_band_the_frame_is_what_it_goes_round(realistic):
    leads = [
        replace(
            place("horse", 0.5), signal="attribution_lead:saliency", role="lead", carrier="",
            details={"method": "saliency", "place": "top", "share": 0.5, "others_share": 0.1},
        )
    ]  # fmt: skip
    band = place("horse", 0.58, kind="band", x0=5.0, y0=5.0, x1=91.0, y1=91.0)
    given = judged(realistic, verdict("horse", "SHORTCUT", replace(band, carrier="the border")))
    first = given.findings[0]
    given = replace(given, findings=(replace(first, evidence=(*first.evidence, *leads)),))
    card = SECTION(given).split("<article")[1]
    assert 'x="5.00" y="5.00" width="86.00" height="86.00"' in card
    assert "What carries the class, the border, lies around the dashed frame." in parse(card).words
    assert "What carries the class lies around the frame." in parse(card).words  # of the map


def test_a_class_whose_boxes_look_wrong_has_no_card_but_its_images_are_shown(realistic):
    seen = realistic.findings[0].observed
    cats = seen.images.loc[seen.images["class"] == "cat", "id"].tolist()
    images = seen.images.assign(suspect=["camera_turned" if i in cats[:9] else "" for i in seen.images["id"]])
    sentence = "9 of 12 photographs of 'cat' were turned by the camera and nothing says which way up the boxes are"
    wrong = verdict("cat", "INCONCLUSIVE", guards=("annotation",))
    given = judged(realistic, wrong, verdict("boat", "CLEAR"), images=images, suspect={"cat": sentence})
    html = SECTION(given)
    document = parse(html)
    assert not document.all("article")
    assert document.unbalanced == []
    assert sentence + "." in document.words
    assert "not judged: annotation" in document.words
    listed = document.words[document.words.index("Images whose boxes may be wrong") :]
    assert all(i in listed for i in cats[:9])
    assert cats[9] not in listed
    assert listed.count("camera turned") == 9
    shown = re.findall(r'alt="Suspected image ([^"]+)"', html)
    assert shown
    assert set(shown) <= set(cats[:9])
    many = replace(given, findings=(replace(given.findings[0], observed=replace(
        seen, images=images.assign(suspect="tiny_box", **{"class": "cat"}), suspect={"cat": sentence})),))  # fmt: skip
    assert f"{len(images) - 24} more are in images.csv" in parse(SECTION(many)).words
