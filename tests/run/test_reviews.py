from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from pipeline.run.reviews import FILE, ApplyReviews, Review, fingerprint, kept, merged, read_reviews, with_reviews
from pipeline.types import AuditError
from tests.report import fake_results

FINDING = Review(
    kind="finding",
    decision="false alarm",
    fingerprint=fingerprint("resnet", "star", "SHORTCUT"),
    model="resnet",
    class_="star",
    state="SHORTCUT",
    note='the tag is part of "star"; =1+1',
    reviewer="Ada",
    time="2026-11-01T10:00:00Z",
)
IMAGE = Review(kind="image", decision="data error", image="a.jpg", time="2026-11-02T10:00:00Z", expires="2026-12-24")


def exported(path: Path, reviews: list[Review], name: str = "demo") -> Path:
    content = {"schema_version": 1, "name": name, "run_id": "x", "reviews": [r.plain() for r in reviews]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_fingerprint_is_the_same_in_every_run_and_tells_findings_apart() -> None:
    assert FINDING.fingerprint == hashlib.sha256(b'["resnet", "star", "SHORTCUT"]').hexdigest()[:12]
    marks = {fingerprint(m, c, s) for m in ("a", "b") for c in ("x", "y") for s in ("SHORTCUT", "CONTEXT")}
    assert len(marks) == 8
    assert fingerprint("a", "b c", "SHORTCUT") != fingerprint("a b", "c", "SHORTCUT")


def test_json_and_csv_say_the_same(tmp_path: Path) -> None:
    plain = [FINDING.plain(), IMAGE.plain()]
    with (tmp_path / "r.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["name", "run_id", *plain[0]])
        writer.writeheader()
        writer.writerows({"name": "demo", "run_id": "x", **p} for p in plain)
    assert read_reviews(tmp_path / "r.csv") == read_reviews(exported(tmp_path / "r.json", [FINDING, IMAGE]))
    assert read_reviews(tmp_path / "r.csv") == ("demo", [FINDING, IMAGE])


def test_a_note_may_hold_any_line_end(tmp_path: Path) -> None:
    note = "one\u2028two\x0bthree\nfour\r\nfive"
    plain = IMAGE.plain() | {"note": note}
    with (tmp_path / "r.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(plain))
        writer.writeheader()
        writer.writerow(plain)
    assert read_reviews(tmp_path / "r.csv")[1][0].note == note


def test_the_apostrophe_before_a_formula_is_taken_off(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("name,kind,decision,image,note\ndemo,image,accepted,a.jpg,'=1+1\n")
    assert read_reviews(tmp_path / "r.csv")[1][0].note == "=1+1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column `decision`"),
        ("{", "is not JSON"),
        ('{"reviews": 3, "schema_version": 1}', "no list `reviews`"),
        ('{"reviews": [], "schema_version": 7}', "schema_version 7"),
        (
            '{"schema_version": 1, "reviews": [{"kind": "image", "decision": "maybe", "image": "a"}]}',
            "review 1 .*`decision`",
        ),
        ('{"schema_version": 1, "reviews": [{"kind": "moon", "decision": "accepted"}]}', "`kind` must be"),
        ('{"schema_version": 1, "reviews": [{"kind": "image", "decision": "accepted"}]}', "must not be empty"),
        ('{"schema_version": 1, "reviews": ["x"]}', "review 1 is not one"),
        (
            '{"schema_version": 1, "reviews": [{"kind": "image", "decision": "accepted", "image": "a",'
            ' "expires": "soon"}]}',
            "`expires` must be a date",
        ),
    ],
)
def test_what_is_no_export_is_said_so(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "r").write_text(text)
    with pytest.raises(AuditError, match=said):
        read_reviews(tmp_path / "r")
    with pytest.raises(AuditError, match="no such file"):
        read_reviews(tmp_path / "absent")


def test_the_last_word_counts_and_can_take_itself_back() -> None:
    later = replace(FINDING, decision="confirmed shortcut", time="2026-11-03T00:00:00Z")
    assert merged([later], [FINDING]) == [later]
    assert merged([FINDING], [later, IMAGE]) == [later, IMAGE]
    back = replace(FINDING, decision="unreviewed", note="", time="2026-11-04T00:00:00Z")
    assert merged([later, IMAGE], [back]) == [IMAGE]


def test_a_review_lapses_on_the_day_after() -> None:
    assert not IMAGE.lapsed(date(2026, 12, 24))
    assert IMAGE.lapsed(date(2026, 12, 25))
    assert not FINDING.lapsed(date(2999, 1, 1))


def test_applied_reviews_reach_the_next_run(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    file = exported(tmp_path / "r.json", [FINDING, IMAGE])
    told = ApplyReviews(file=str(file), folder=str(tmp_path), name=None, days=30)()
    assert "1 false alarm, 1 data error" in told[0]
    finding, image = kept(tmp_path / "demo")
    assert finding.expires == "2026-12-01"  # from its own day on, so that applying it again does not prolong it
    assert image.expires == IMAGE.expires
    results = with_reviews(fake_results.empty(), tmp_path / "demo")
    assert [r["class"] for r in results.reviews] == ["star", ""]
    ApplyReviews(file=str(file), folder=str(tmp_path), name=None, days=0)()
    assert len(kept(tmp_path / "demo")) == 2
    assert json.loads((tmp_path / "demo" / FILE).read_text())["schema_version"] == 1


def test_reviews_of_no_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="no runs there"):
        ApplyReviews(file=str(exported(tmp_path / "r.json", [IMAGE])), folder=str(tmp_path), name=None, days=1)()
    for name in ("", "../demo", ".hidden"):
        file = exported(tmp_path / "r.json", [IMAGE], name)
        with pytest.raises(AuditError, match="which audit"):
            ApplyReviews(file=str(file), folder=str(tmp_path), name=None, days=1)()
    with pytest.raises(ValueError, match="`days`"):
        ApplyReviews(file="x", folder="y", name=None, days=-1)
