from __future__ import annotations

import base64
import re

import pytest

from pipeline.report.render import relative_url
from pipeline.report.sections.changes import sibling_report
from pipeline.report.single import NOTHING, RESERVE, _Room, from_above, write_single
from pipeline.types import AuditError
from tests.contracts.test_sections import CONF, build


@pytest.fixture(scope="module")
def sections():
    return {path.stem: build(path) for path in CONF}


def test_it_holds_the_very_pictures(realistic, report_folder, sections, tmp_path):
    target = tmp_path / "report.html"
    held, there = write_single(realistic, sections, report_folder, target, 10_000_000)
    html = target.read_text("utf-8")
    assert held == there
    assert not re.findall(r'(?:src|href)="(?!data:|#|\.\./)', html)
    picture = report_folder / realistic.pictures["picture"].iloc[0]
    assert base64.b64encode(picture.read_bytes()).decode() in html
    assert NOTHING not in html


def test_every_budget_is_kept(realistic, report_folder, sections, tmp_path):
    target = tmp_path / "report.html"
    write_single(realistic, sections, report_folder, target, 10_000_000)
    size = target.stat().st_size
    with pytest.raises(AuditError) as refused:
        write_single(realistic, sections, report_folder, target, 100_000)
    least = int(float(re.search(r"takes (\d+\.\d+) MB", str(refused.value)).group(1)) * 1e6) + RESERVE
    fits = []
    for budget in range(least, size + 40_000, (size - least) // 12):
        held, there = write_single(realistic, sections, report_folder, target, budget)
        assert target.stat().st_size <= budget
        assert (held < there) == ("pictures, to stay below" in target.read_text("utf-8"))
        fits.append(held)
    assert fits == sorted(fits)
    assert fits[0] < fits[-1] == there


def test_what_was_reckoned_too_small_is_mended(realistic, report_folder, sections, tmp_path, monkeypatch):
    target = tmp_path / "report.html"
    write_single(realistic, sections, report_folder, target, 10_000_000)
    budget = target.stat().st_size - 50_000
    take = _Room.take
    monkeypatch.setattr(_Room, "take", lambda room, size: take(room, size // 2))
    write_single(realistic, sections, report_folder, target, budget)
    assert target.stat().st_size <= budget


def test_a_missing_picture_leaves_its_words(realistic, report_folder, sections, tmp_path):
    few = {"gallery": sections["gallery"]}
    target = tmp_path / "report.html"
    held, there = write_single(realistic, few, tmp_path, target, 10_000_000)
    html = target.read_text("utf-8")
    assert held == 0 < there
    assert NOTHING in html
    assert "<script" not in html
    assert "script-src 'none'" in html


def test_links_to_earlier_runs_count_from_where_the_file_lies():
    link = relative_url(sibling_report("reports/demo/20261121T174739Z-01dd4b"))
    here = from_above(f'<a href="{link}">')
    assert here == '<a href="../20261121T174739Z-01dd4b/report/index.html">'
    assert from_above('<a href="#classes">') == '<a href="#classes">'
