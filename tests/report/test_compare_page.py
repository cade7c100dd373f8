from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from pipeline.report.compare_page import CompareRuns, read_runs, report_link, write_comparison
from pipeline.types import AuditError
from tests.report.markup import parse
from tests.report.stored_runs import effect, results, run, store

HOSTILE = ("<script>alert(1)</script>", '"><img onerror="x">', "\u202eesrever", "{{ 7 * 7 }}", "</title></svg>")
FIRST, SECOND = "20261101T000000Z-aaaaaa", "20261102T000000Z-bbbbbb"


def ids(n):
    return [f"202611{i + 1:02}T000000Z-aaaaaa" for i in range(n)]


def page(runs, folder, broken=None):
    return parse(write_comparison(runs, folder, broken).read_text("utf-8"))


@pytest.fixture
def two(tmp_path):
    old = run(tmp_path, {"star": "CLEAR", "moon": "CLEAR"}, run_id=FIRST, twin={"star": "CONTEXT", "moon": "CLEAR"})
    new = run(
        tmp_path, {"star": "SHORTCUT", "moon": "CLEAR"}, run_id=SECOND, wrong={"moon-1": "star"},
        evidence={"star": (effect("star", 0.8),)},
    )  # fmt: skip
    return [old, new]


def many(root, n, classes=("star", "moon")):
    states = ("CLEAR", "SHORTCUT", "INCONCLUSIVE", "CONTEXT")
    return [
        run(root, {c: states[(i * (j + 1)) % 4] for j, c in enumerate(classes)}, run_id=name)
        for i, name in enumerate(ids(n))
    ]


@pytest.mark.parametrize("n", [2, 12])
def test_page_is_whole_and_asks_nothing_of_anybody(tmp_path, n):
    folder = tmp_path / "out"
    document = page(many(tmp_path, n), folder)
    html = (folder / "index.html").read_text("utf-8")
    assert document.unbalanced == []
    assert document.all("script") == []
    assert "http://" not in html
    assert "https://" not in html
    assert not any("style" in e.attributes for e in document.elements)
    assert [e.attributes["href"] for e in document.all("link")] == ["app.css"]
    assert (folder / "app.css").is_file()
    found = [e.attributes["id"] for e in document.elements if "id" in e.attributes]
    assert len(found) == len(set(found))
    anchors = {e.attributes["href"] for e in document.all("a") if e.attributes["href"].startswith("#")}
    assert {a[1:] for a in anchors} <= set(found)


@pytest.mark.parametrize("n", [2, 12])
def test_page_can_be_read_without_seeing_it(tmp_path, n):
    document = page(many(tmp_path, n), tmp_path / "out")
    headings = [int(e.tag[1]) for e in document.elements if e.tag in {"h1", "h2", "h3", "h4"}]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(headings))
    assert len(document.all("caption")) == len(document.all("table"))
    assert all("scope" in e.attributes for e in document.all("th"))
    charts = [e for e in document.all("svg") if "chart" in e.attributes.get("class", "")]
    assert len(charts) == len(document.all("title")) - 1  # and the page's own
    assert charts
    scrolls = document.all("div", class_="scroll")
    assert len(scrolls) == len(document.all("table"))
    icons = [e for e in document.all("use") if e.attributes["href"] == "#icon-shortcut"]
    assert document.words.count("SHORTCUT") >= len(icons) > 1  # said in words too, not by shape and colour alone


def test_the_page_says_what_happened(two, tmp_path):
    text = page(two, tmp_path / "out").words
    assert f"One class became SHORTCUT since {FIRST}: star." in text
    assert "twin: twin CONTEXT" in text
    assert "1 of 2: star" in text
    assert "moon-1 moon newly wrong moon star".replace(" ", "") in text.replace(" ", "")
    assert "Nothing speaks against it" in text
    assert "+80 [+66, +94]" in text
    assert "The same in all runs: the weights, the images and annotations." in text


def test_doubts_name_their_runs(tmp_path):
    runs = many(tmp_path, 3)
    runs[2] = replace(runs[2], provenance={**runs[2].provenance, "dataset_sha256": "e" * 64})
    text = page(runs, tmp_path / "out").words
    assert "1 reason to doubt the comparison: see it." in text
    assert "Run 3: The images or their annotations differ" in text


def test_every_run_has_a_row_with_a_link_to_its_report(tmp_path):
    runs = many(tmp_path / "a #1 & <b>", 12)
    folder = tmp_path / "elsewhere" / "out"
    links = [e.attributes["href"] for e in page(runs, folder).all("a") if "report" in e.attributes["href"]]
    assert len(links) == 12
    assert all("#" not in link and "<" not in link for link in links)
    assert all((folder / unquote(link)).is_file() for link in links)


def test_a_run_without_its_report_has_no_link(two, tmp_path):
    (two[0].folder / "report" / "index.html").unlink()
    assert report_link(two[0], tmp_path) == ""
    assert "its report is not there" in page(two, tmp_path / "out").words


def test_names_from_data_stay_text(tmp_path):
    runs = many(tmp_path, 3, HOSTILE)
    images = runs[1].images.assign(predicted=HOSTILE[1], correct=False)
    runs[1] = replace(
        runs[1], images=images, name=HOSTILE[0], config={HOSTILE[0]: HOSTILE[1]}, gate={"result": HOSTILE[1]}
    )
    document = page(runs, tmp_path / "out", {HOSTILE[1]: HOSTILE[1]})
    assert document.unbalanced == []
    assert document.all("script") == []
    assert document.all("img") == []
    assert not any(name.startswith("on") for e in document.elements for name in e.attributes)
    assert all(name in document.text for name in HOSTILE)


def test_lists_that_are_too_long_are_counted(tmp_path):
    classes = [f"class {i:03}" for i in range(70)]
    old = run(tmp_path, dict.fromkeys(classes, "CLEAR"), run_id=FIRST)
    wrong = {f"{c}-0": "other" for c in classes}
    new = run(tmp_path, dict.fromkeys(classes, "CLEAR"), run_id=SECOND, wrong=wrong)
    text = page([old, new], tmp_path / "out").words
    assert "the first 50 of 70 changed images" in text
    assert "20 more are in comparison.json" in text
    assert "10 more classes are in comparison.csv" in text
    assert "100 more differences" in text


def test_classes_that_differ_between_runs_come_first(tmp_path):
    old = run(tmp_path, {"guilty": "SHORTCUT", "moved": "CLEAR"}, run_id=FIRST)
    new = run(tmp_path, {"guilty": "SHORTCUT", "moved": "INCONCLUSIVE"}, run_id=SECOND)
    html = write_comparison([old, new], tmp_path / "out").read_text("utf-8")
    matrix = html[html.index('class="matrix') :]
    assert matrix.index("moved") < matrix.index("guilty")


def test_what_cannot_be_read_is_listed_with_its_reason(tmp_path):
    first, second, third = (store(results({"a": "CLEAR"}, run_id=i), tmp_path) for i in ids(3))
    (second / "images.csv").unlink()
    given = [str(p) for p in (first, second, tmp_path / "nowhere", third, first)]
    text = parse(CompareRuns(runs=given)().read_text("utf-8")).words
    assert f"{second} lacks images.csv" in text
    assert "nowhere is not a folder" in text
    assert "is the same run as one before it" in text


def test_fewer_than_two_runs_are_no_comparison(tmp_path):
    first, second = (store(results({"a": "CLEAR"}, run_id=i), tmp_path) for i in ids(2))
    (second / "summary.json").write_text("{")
    with pytest.raises(AuditError, match=r"needs two runs, and 1 can be read:\n.*summary.json is not JSON"):
        CompareRuns(runs=[str(first), str(second)])()
    with pytest.raises(ValueError, match="two or more folders of runs, got 1"):
        CompareRuns(runs=[str(first)])
    assert [r.run_id for r in read_runs([first, second])[0]] == [first.name]


def test_the_comparison_lies_beside_the_first_run_and_is_written_again(two):
    given = [str(r.folder) for r in two]
    path = CompareRuns(runs=given)()
    assert path.parent == two[0].folder.parent / f"compare-{FIRST}-{SECOND}"
    assert CompareRuns(runs=given)() == path
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "app.css", "comparison.csv", "comparison.json", "index.html",
    ]  # fmt: skip
    assert len(json.loads((path.parent / "comparison.json").read_text("utf-8"))["runs"]) == 2


def test_nothing_else_is_written_over(two, tmp_path):
    other = tmp_path / "mine"
    other.mkdir()
    (other / "index.html").write_text("mine")
    with pytest.raises(AuditError, match="holds no comparison"):
        write_comparison(two, other)
    assert (other / "index.html").read_text() == "mine"
    with pytest.raises(AuditError, match="holds no comparison"):
        write_comparison(two, other / "index.html")
    with pytest.raises(AuditError, match="cannot write to"):
        write_comparison(two, other / "index.html" / "below")


def test_the_yaml_is_the_constructor_call():
    path = Path(__file__).parents[2] / "conf" / "compare.yaml"
    config = yaml.safe_load(path.read_text("utf-8"))
    assert config.pop("_target_") == f"{CompareRuns.__module__}.{CompareRuns.__name__}"
    fields = {k: v for k, v in config.items() if k not in {"defaults", "hydra"}}
    assert fields == {"runs": "???", "folder": None, "open": False}
