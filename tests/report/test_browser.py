"""The page in a real browser, from disk, with the network off."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from pipeline.report.page import write_page
from pipeline.report.pictures import FILTERS, write_mask
from pipeline.report.single import write_single
from pipeline.run.reviews import fingerprint, read_reviews
from pipeline.types import Results
from tests.contracts.test_sections import CONF, build
from tests.report import fake_results
from tests.report.browser import chromium, opened

SIZES = ((1440, 1000), (400, 800))


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def sections():
    order = ["verdict", "changes", "findings", "classes", "images", "review"]
    known = {path.stem: build(path) for path in CONF}
    return {n: known[n] for n in [*order, *sorted(known.keys() - set(order))]}


def with_album(results: Results, folder: Path) -> Results:
    """One image has a mask; one that was neither telling nor a control has a picture."""
    first = results.pictures.iloc[0]
    write_mask(torch.eye(96, dtype=torch.bool), folder / "mask.png")
    images = results.findings[0].observed.images
    other = images.iloc[-1]
    rows = [
        {"id": first["id"], "picture": first["picture"], "mask": "mask.png", "heats": first["heats"]},
        {"id": other["id"], "picture": first["picture"], "mask": "", "heats": {}},
    ]
    album = pd.DataFrame(rows).assign(model=results.findings[0].observed.model, row=0)
    return replace(results, album=album)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, sections):
    """(results, page) of a realistic run that has been reviewed before."""
    folder = tmp_path_factory.mktemp("whole")
    results = with_album(fake_results.realistic(folder, per_class=12), folder)
    review = {
        "kind": "finding", "decision": "false alarm", "model": "watermark_cnn", "class": "horse", "state": "SHORTCUT",
        "fingerprint": fingerprint("watermark_cnn", "horse", "SHORTCUT"), "image": "", "note": "we know",
        "reviewer": "Ada", "time": "2026-11-01T00:00:00Z", "expires": "2999-01-01",
    }  # fmt: skip
    results = replace(results, reviews=(review,))
    return results, write_page(results, sections, folder)


@pytest.fixture(scope="module")
def accessibility():
    return pytest.importorskip("axe_playwright_python.sync_playwright").Axe()


def violations(accessibility: Any, page: Any) -> list[str]:
    """What axe-core finds, as rule and element."""
    found = accessibility.run(page).response["violations"]
    return [f"{v['id']}: {n['html'][:160]}" for v in found for n in v["nodes"]]


@pytest.mark.parametrize("kind", ["whole", "hostile", "empty"])
@pytest.mark.parametrize("size", SIZES, ids=lambda s: str(s[0]))
def test_it_opens_without_a_word_to_anybody(browser, kind, size, whole, sections, tmp_path):
    if kind == "whole":
        page = whole[1]
    else:
        made = fake_results.hostile(tmp_path) if kind == "hostile" else fake_results.empty()
        page = write_page(made, sections, tmp_path)
    with opened(browser, page, viewport={"width": size[0], "height": size[1]}) as watched:
        watched.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        watched.page.wait_for_timeout(200)
        assert watched.wrong == []
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert watched.page.locator("h1").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=lambda s: str(s[0]))
def test_axe_finds_nothing(browser, accessibility, whole, scheme, size):
    options = {"viewport": {"width": size[0], "height": size[1]}, "color_scheme": scheme, "reduced_motion": "reduce"}
    with opened(browser, whole[1], **options) as watched:
        page = watched.page
        assert violations(accessibility, page) == []
        page.click("#explorer-view-gallery")
        assert violations(accessibility, page) == []
        page.click("#explorer-cards li:first-child button")
        page.wait_for_selector("#detail-trials table")
        assert violations(accessibility, page) == []
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        assert page.locator("#keys").is_visible()
        assert violations(accessibility, page) == []


def test_without_a_script_it_still_says_what_matters(browser, whole):
    with opened(browser, whole[1], java_script_enabled=False) as watched:
        page = watched.page
        assert page.locator("#verdict .word").first.inner_text().strip() == "SHORTCUT"
        assert page.locator("#classes table.classes tbody").count() >= 5
        assert page.locator(".finding").first.is_visible()
        assert not page.locator("#explorer").is_visible()
        assert "needs JavaScript" in page.locator("#images").inner_text()
        assert not page.locator(".review-here").first.is_visible()
        assert "we know" in page.locator("#review").inner_text()


def shown(page: Any) -> list[str]:
    """The names in the explorer's table."""
    return page.locator("#explorer-rows th bdi").all_inner_texts()


def test_filters_sort_and_address(browser, whole):
    results, path = whole
    images = results.findings[0].observed.images
    with opened(browser, path, viewport={"width": 1440, "height": 2400}) as watched:
        page = watched.page
        assert shown(page)[:5] == images["id"].head(5).tolist()
        page.select_option("#explorer-c", "boat")
        assert shown(page) == images.loc[images["class"] == "boat", "id"].tolist()
        page.select_option("#explorer-right", "no")
        wrong = images[(images["class"] == "boat") & (images["predicted"] != "boat")]
        assert shown(page) == wrong["id"].tolist()
        page.select_option("#explorer-right", "")
        page.select_option("#explorer-sort", "p")
        page.click("#explorer-down")
        expected = images[images["class"] == "boat"].sort_values(
            "predicted_probability", ascending=False, kind="stable"
        )
        probability = expected["predicted_probability"].round(3).tolist()
        rows = dict(zip(images["id"], images["predicted_probability"].round(3), strict=True))
        assert [rows[i] for i in shown(page)] == probability
        address = page.url
        assert "c=boat" in address
        assert "sort=-p" in address
        page.reload()
        assert page.url == address
        assert [rows[i] for i in shown(page)] == probability
        assert page.locator("#explorer-head th[aria-sort=descending]").inner_text() == "Probability ↓"
        page.click("nav a[href='#classes']")
        assert [rows[i] for i in shown(page)] == probability  # another section's address leaves the filters alone
        page.fill("#explorer-q", "no such image")
        assert shown(page) == []
        assert page.locator("#explorer-count").inner_text().startswith("0 of")
        assert watched.wrong == []


def test_score_filters_are_the_methods_own(browser, whole):
    results, path = whole
    seen = results.findings[0].observed
    with opened(browser, path, viewport={"width": 1440, "height": 3600}) as watched:
        page = watched.page
        page.select_option("#explorer-m", "grad_cam")
        page.fill("#explorer-hi", "30")
        own = (
            seen.scores[seen.scores["method"] == "grad_cam"].set_index("id")["inside_share"].reindex(seen.images["id"])
        )
        assert shown(page) == own.index[own.round(3) <= 0.3].tolist()


def test_an_image_in_full(browser, whole):
    results, path = whole
    name = results.pictures["id"].iloc[0]
    with opened(browser, path, address=f"#images?image={name}") as watched:
        page = watched.page
        dialog = page.locator("#detail")
        assert dialog.is_visible()
        assert page.locator("#detail-title").inner_text() == name
        page.wait_for_selector("#detail-trials table")
        assert page.locator("#detail-trials img").count() >= 1
        trials = results.findings[0].observed.trials
        assert page.locator("#detail-trials tbody tr").count() == (trials["recipient"] == name).sum()
        widths = page.eval_on_selector_all("#detail-views img", "all => all.map(i => i.naturalWidth)")
        assert len(widths) == 3  # the photograph twice, and a map
        assert all(widths)
        page.keyboard.press("x")
        assert page.locator("#detail-views .mask").count() == 1
        page.keyboard.press("o")
        assert page.locator("#detail-views .heat").count() == 0
        page.keyboard.press("o")
        page.keyboard.press("m")
        assert "m=integrated_gradients" in page.url
        before = page.locator("#detail-views .heat").evaluate("e => getComputedStyle(e).opacity")
        page.keyboard.press("[")
        assert float(page.locator("#detail-views .heat").evaluate("e => getComputedStyle(e).opacity")) < float(before)
        page.keyboard.press("j")
        second = results.findings[0].observed.images["id"].iloc[1]
        assert page.locator("#detail-title").inner_text() == second
        page.keyboard.press("k")
        assert page.locator("#detail-title").inner_text() == name
        page.keyboard.press("Escape")
        assert not dialog.is_visible()
        assert "image=" not in page.url
        assert watched.wrong == []


def test_back_closes_an_image_that_was_opened(browser, whole):
    with opened(browser, whole[1]) as watched:
        page = watched.page
        page.locator("#explorer-rows button").first.click()
        assert page.locator("#detail").is_visible()
        page.go_back()
        assert not page.locator("#detail").is_visible()


@pytest.mark.parametrize("colours", ["heat", "viridis"])
def test_maps_are_coloured_in_the_page(browser, whole, colours):
    """The grey files arrive in matplotlib's colours, which the page's filters bring about."""
    results, path = whole
    name = results.pictures["id"].iloc[0]
    with opened(browser, path, address=f"#images?image={name}") as watched:
        page = watched.page
        page.select_option("#detail-colours", colours)
        for key in ("boxes", "spot"):
            page.eval_on_selector(f"#detail-{key}", "b => b.getAttribute('aria-pressed') === 'true' && b.click()")
        page.eval_on_selector("#detail-opacity", "e => { e.value = 100; e.dispatchEvent(new Event('input')); }")
        page.wait_for_timeout(150)
        data = page.locator("#detail-views .stack").last.screenshot()
    with Image.open(BytesIO(data)) as image:
        pixels = np.array(image.convert("RGB")).reshape(-1, 3) / 255
    vivid = pixels[np.argsort(np.ptp(pixels, axis=1))[-300:]]
    away = {}
    for known in FILTERS:
        curve = mpl.colormaps[FILTERS[known]](np.linspace(0.3, 1, 200))[:, :3]
        away[known] = np.linalg.norm(vivid[:, None] - curve, axis=-1).min(axis=1).mean()
    assert away[colours] < 0.08
    assert away[colours] == min(away.values())


def test_reviews_are_kept_exported_and_read_again(browser, whole, tmp_path):
    results, path = whole
    with opened(browser, path) as watched:
        page = watched.page
        page.fill("#review-name", 'Grace, "the" reviewer')
        card = page.locator(".finding").first
        assert "reviewed: false alarm" in card.inner_text()
        card.get_by_role("button", name="confirmed shortcut").click()
        card.locator("textarea").fill('=the tag\nis "there"')
        card.locator("textarea").blur()
        assert "reviewed: confirmed shortcut" in card.inner_text()
        page.locator("#explorer-rows button").first.click()
        page.keyboard.press("4")
        page.keyboard.press("Escape")
        counts = dict(
            zip(*[iter(page.locator("#review-counts th, #review-counts td").all_inner_texts())] * 2, strict=False)
        )
        assert counts
        page.reload()
        assert "reviewed: confirmed shortcut" in page.locator(".finding").first.inner_text()
        assert page.locator("#explorer-rows tr").nth(0).inner_text().endswith("data error")
        files = {}
        for ending in ("json", "csv"):
            with page.expect_download() as download:
                page.click(f"#review-{ending}")
            files[ending] = tmp_path / download.value.suggested_filename
            download.value.save_as(files[ending])
        first, again = read_reviews(files["json"]), read_reviews(files["csv"])
        assert [r.plain() | {"note": ""} for r in first[1]] == [r.plain() | {"note": ""} for r in again[1]]
        finding = next(r for r in first[1] if r.kind == "finding")
        assert (finding.decision, finding.note) == ("confirmed shortcut", '=the tag\nis "there"')
        assert finding.reviewer == 'Grace, "the" reviewer'
        assert finding.fingerprint == fingerprint("watermark_cnn", "horse", "SHORTCUT")
        assert next(r for r in again[1] if r.kind == "finding").note == finding.note
        assert {r.image for r in first[1] if r.kind == "image"} == {results.findings[0].observed.images["id"].iloc[0]}
        # What another reviewer decided later is taken; what is older is not.
        content = json.loads(files["json"].read_text())
        for r in content["reviews"]:
            r["decision"], r["time"] = (
                ("accepted", "2999-01-01T00:00:00Z") if r["kind"] == "finding" else ("accepted", "2000-01-01")
            )
        files["json"].write_text(json.dumps(content))
        page.set_input_files("#review-file", files["json"])
        page.locator("#review-said", has_text="1 reviews taken").wait_for()
        assert "reviewed: accepted" in page.locator(".finding").first.inner_text()
        (tmp_path / "junk.json").write_text("[3")
        page.set_input_files("#review-file", tmp_path / "junk.json")
        page.locator("#review-said", has_text="holds no reviews").wait_for()
        assert watched.wrong == []


def test_names_from_data_never_become_elements(browser, sections, tmp_path):
    page_path = write_page(fake_results.hostile(tmp_path), sections, tmp_path)
    with opened(browser, page_path) as watched:
        page = watched.page
        page.click("#explorer-view-gallery")
        page.locator("#explorer-cards button").first.click()
        page.wait_for_selector("#detail-trials table")
        assert watched.wrong == []
        assert page.locator("[onload], [onerror], iframe, object, embed").count() == 0
        assert page.evaluate("[...document.scripts].every(s => s.src.startsWith('file:') && !s.textContent)")
        assert '<script>alert("1")</script>' in page.locator("body").inner_text()


def test_the_single_file_stands_alone(browser, whole, sections, tmp_path):
    results, path = whole
    target = tmp_path / "mail" / "report.html"
    target.parent.mkdir()
    held, there = write_single(results, sections, path.parent, target, 10_000_000)
    assert held == there > 50
    with opened(browser, target, viewport={"width": 1440, "height": 1000}) as watched:
        page = watched.page
        page.locator("#findings").scroll_into_view_if_needed()
        page.wait_for_timeout(200)
        widths = page.eval_on_selector_all(".finding img", "all => all.map(i => i.naturalWidth)")
        assert widths
        assert all(w == 96 for w in widths)
        page.locator("#explorer-rows button").first.click()
        page.wait_for_selector("#detail-trials table")
        assert all(page.eval_on_selector_all("#detail-views img", "all => all.map(i => i.naturalWidth)"))
        assert watched.wrong == []


def test_the_single_file_keeps_its_budget_and_says_what_it_lacks(browser, whole, sections, tmp_path):
    results, path = whole
    target = tmp_path / "report.html"
    full = write_single(results, sections, path.parent, target, 10_000_000)
    size = target.stat().st_size
    for budget in (size - 30_000, size * 3 // 4, size * 2 // 3):
        held, there = write_single(results, sections, path.parent, target, budget)
        assert target.stat().st_size <= budget
        assert held <= full[0]
        with opened(browser, target) as watched:
            words = watched.page.locator("main").inner_text()
            assert held == there or f"holds {held:,} of {there:,} pictures" in words
            assert watched.wrong == []


def test_print_leaves_the_controls_out(browser, whole):
    with opened(browser, whole[1]) as watched:
        page = watched.page
        page.emulate_media(media="print")
        assert not page.locator("#explorer").is_visible()
        assert not page.locator("nav").first.is_visible()
        assert page.locator("#classes table").first.is_visible()
        assert len(page.pdf()) > 50_000


def test_many_images_are_few_elements(browser, sections, tmp_path):
    """20,000 rows, of which the page holds those in view."""
    results = fake_results.large(10_000)
    few = {n: sections[n] for n in ("verdict", "images")}
    page_path = write_page(results, few, tmp_path)
    with opened(browser, page_path, viewport={"width": 1440, "height": 1000}) as watched:
        page = watched.page
        assert page.locator("#explorer-count").inner_text().startswith("20,000 of 20,000")
        assert page.locator("#explorer-rows tr").count() < 80
        page.eval_on_selector("#explorer-table", "e => { e.scrollTop = e.scrollHeight; }")
        page.wait_for_timeout(200)
        assert shown(page)[-1] == results.findings[0].observed.images["id"].iloc[-1]
        assert page.locator("#explorer-rows tr").count() < 80
        page.click("#explorer-view-gallery")
        assert page.locator("#explorer-cards li").count() < 120
        assert watched.wrong == []
