from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import ClassVar
from urllib.parse import unquote

import pytest

from pipeline.report.page import write_page
from tests.contracts.test_sections import CONF, build
from tests.report.markup import parse


@dataclass(frozen=True, kw_only=True)
class Plain:
    title: ClassVar[str] = "Own & plain"

    def __call__(self, results):
        return "<p>mine</p>"


@pytest.fixture(scope="module")
def every_section():
    return {path.stem: build(path) for path in CONF}


def read(results, sections, folder):
    return write_page(results, sections, folder).read_text("utf-8")


@pytest.mark.parametrize("kind", ["realistic", "hostile", "empty"])
def test_page_is_whole(kind, request, every_section, tmp_path):
    html = read(request.getfixturevalue(kind), every_section, tmp_path)
    document = parse(html)
    assert document.unbalanced == []
    assert len(document.all("h1")) == 1
    assert len(document.all("main")) == len(document.all("nav")) == len(document.all("header")) == 1
    ids = [e.attributes["id"] for e in document.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    anchors = {e.attributes["href"][1:] for e in document.all("a")}
    assert anchors >= {*every_section, "main"}
    assert anchors <= set(ids)


@pytest.mark.parametrize("kind", ["realistic", "hostile", "empty"])
def test_page_asks_nothing_of_anybody(kind, request, every_section, tmp_path):
    html = read(request.getfixturevalue(kind), every_section, tmp_path)
    assert "http://" not in html
    assert "https://" not in html
    document = parse(html)
    assert [e.attributes["src"] for e in document.all("script")] == ["data/images.js", "app.js"]
    assert all("defer" in e.attributes for e in document.all("script"))
    assert [e.attributes["href"] for e in document.all("link")] == ["app.css"]
    assert all(e.attributes["src"].startswith("./") for e in document.all("img"))
    assert not any("style" in e.attributes for e in document.elements)
    css = (tmp_path / "app.css").read_text("utf-8")
    assert "@import" not in css
    assert "http" not in css


def test_every_picture_is_there(realistic, report_folder, every_section):
    document = parse(read(realistic, every_section, report_folder))
    sources = {unquote(e.attributes["src"]) for e in document.all("img")}
    assert len(sources) > 100
    assert all((report_folder / source).is_file() for source in sources)


def test_names_from_data_stay_text(hostile, every_section, tmp_path):
    html = read(hostile, every_section, tmp_path)
    document = parse(html)
    assert '<script>alert("1")</script>' in document.text
    assert "{{ 7 * 7 }}" in document.text
    assert html.count("<script") == 2  # the page's own
    written = (tmp_path / "data" / "images.js").read_text("utf-8")
    assert "<" not in written
    assert "alert" in written


def test_sections_come_in_their_order(empty, every_section, tmp_path):
    html = read(empty, {"b": Plain(), "a": Plain()}, tmp_path)
    assert html.index('id="b"') < html.index('id="a"')
    assert "Own &amp; plain" in html
    assert "<p>mine</p>" in html


def test_a_name_that_is_not_unicode_is_written(empty, tmp_path):
    assert "\\udc80" in read(replace(empty, name="a\udc80"), {"own": Plain()}, tmp_path)


def test_no_findings_at_all(empty, every_section, tmp_path):
    html = read(replace(empty, findings=()), every_section, tmp_path)
    assert "No model was audited." in html
    assert parse(html).unbalanced == []


def test_a_page_of_a_real_run_stays_small(realistic, every_section, tmp_path):
    assert sys.getsizeof(read(realistic, every_section, tmp_path)) < 800_000
