from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pipeline import reasons
from pipeline.report.reading import class_verdicts
from pipeline.report.sections.findings import FindingsSection, follows
from pipeline.run.reviews import fingerprint
from pipeline.types import Evidence, Verdict
from tests.report.markup import parse

SECTION = FindingsSection(limit=24, pictures=4)


def evidence(signal: str, estimate: float, **details: float | str) -> Evidence:
    return Evidence(
        signal=signal, class_name="tank", estimate=estimate, low=0.0, high=1.0, unit="share", p_value=0.01, n=9,
        n_others=9, detectable=0.1, decides=True, version=1, details=details,
    )  # fmt: skip


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


@pytest.mark.parametrize(
    ("state", "own", "said"),
    [
        ("CONTEXT", [evidence("removed_excess", 0.5)], "Decide whether the model may use"),
        (
            "SHORTCUT",
            [evidence("targeted", 0.5, place="top"), evidence("outside_keenest", 0.6)],
            "Look at the framed place",
        ),
        ("SHORTCUT", [evidence("targeted", 0.01, place="top"), evidence("outside_keenest", 0.6)], "in no single place"),
        ("SHORTCUT", [evidence("low_level", 0.6, kind="sharpness")], "sharpness tells them apart"),
        ("SHORTCUT", [evidence("low_level", 0.2), evidence("outside_transplant", 0.6)], "in no single place"),
    ],
)
def test_what_to_do_next_follows_what_carries_the_class(state, own, said):
    assert said in reasons.next_step(Verdict(scope="tank", state=state, reason="", evidence=tuple(own)))
