"""The page in a real browser, from disk, with the network off."""

from __future__ import annotations

import json
import shutil
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
from pipeline.types import AuditError, Results
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


def painted(page: Any) -> np.ndarray:
    """(n, 3) the map's pixels in [0, 1], once it is painted: a busy machine paints pictures after everything else."""
    for _ in range(40):
        with Image.open(BytesIO(page.locator("#detail-views .stack").last.screenshot())) as image:
            pixels = np.array(image.convert("RGB")).reshape(-1, 3) / 255
        if np.ptp(pixels, axis=1).max() > 0.3:
            break
        page.wait_for_timeout(250)
    return pixels


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
        pixels = painted(page)
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


def test_taking_a_review_back_is_exported_and_others_audits_are_not_taken(browser, whole, tmp_path):
    _, path = whole
    with opened(browser, path) as watched:
        page = watched.page
        page.locator(".finding").first.get_by_role("button", name="unreviewed").click()
        with page.expect_download() as download:
            page.click("#review-json")
        file = tmp_path / "reviews.json"
        download.value.save_as(file)
        (back,) = read_reviews(file)[1]
        assert (back.decision, back.fingerprint) == ("unreviewed", fingerprint("watermark_cnn", "horse", "SHORTCUT"))
        content = json.loads(file.read_text())
        file.write_text(json.dumps(content | {"name": "lungs"}))
        page.set_input_files("#review-file", file)
        page.locator("#review-said", has_text="reviews the audit lungs, not demo").wait_for()
        file.write_text("name,kind,decision,image\ndemo,image,accepted,x,one too many\ndemo,image,accepted,gone.jpg\n")
        page.set_input_files("#review-file", file)
        page.locator("#review-said", has_text="1 reviews taken").wait_for()
        assert "1 were not understood" in page.locator("#review-said").inner_text()
        assert (
            "1 reviews are about findings or images that are not in this run"
            in page.locator("#review-gone").inner_text()
        )
        assert page.locator("#review-counts tr").nth(4).inner_text().split("\t") == ["accepted", "0", "0"]
        assert watched.wrong == []


def test_what_was_applied_later_counts_more_than_this_browser(browser, whole, sections, tmp_path):
    results, path = whole
    folder = tmp_path / "copy"
    shutil.copytree(path.parent, folder)
    page_path = write_page(results, sections, folder)
    with opened(browser, page_path) as watched:
        page = watched.page
        page.locator(".finding").first.get_by_role("button", name="accepted").click()
        later = dict(results.reviews[0]) | {"decision": "confirmed shortcut", "time": "2999-01-01T00:00:00Z"}
        write_page(replace(results, reviews=(later,)), sections, folder)
        page.reload()
        assert "reviewed: confirmed shortcut" in page.locator(".finding").first.inner_text()


def test_keys_and_steps_while_reviewing(browser, whole):
    results, path = whole
    names = results.findings[0].observed.images["id"].tolist()
    with opened(browser, path, address="#images?rv=unreviewed") as watched:
        page = watched.page
        page.locator("#explorer-rows button").nth(5).click()
        page.keyboard.press("2")  # takes it out of the filter
        page.keyboard.press("j")
        assert page.locator("#detail-title").inner_text() == names[6]
        page.keyboard.press("?")
        page.keyboard.press("3")  # under the help: for nobody
        page.keyboard.press("Escape")
        assert page.locator("#detail-review [aria-pressed=true]").inner_text() == "1 unreviewed"
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.textContent") == names[6]
        assert watched.wrong == []


def test_the_focus_stays_where_it_was(browser, whole):
    with opened(browser, whole[1]) as watched:
        page = watched.page
        page.locator("#explorer-head button").nth(3).focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.textContent") == "Probability ↑"
        page.locator("#explorer-rows button").first.click()
        page.locator("#detail-methods button").nth(1).focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.dataset.focus") == "integrated_gradients"


def test_what_was_not_tried_is_no_praise(browser, sections, tmp_path):
    results = fake_results.realistic(tmp_path, per_class=4)
    first = results.findings[0]
    none = first.observed.trials[first.observed.trials["intervention"] != "object_removed"]
    untried = replace(results, findings=(replace(first, observed=replace(first.observed, trials=none)),))
    with opened(browser, write_page(untried, sections, tmp_path)) as watched:
        page = watched.page
        page.get_by_role("button", name="Right for the right reason").click()
        assert shown(page) == []
        assert "Removing the object was not tried." in page.locator("#findings").inner_text()


def test_changes_that_are_not_there_are_said_to_be_so(browser, sections, tmp_path):
    page_path = write_page(fake_results.realistic(tmp_path, per_class=4), sections, tmp_path)
    for piece in (tmp_path / "data").glob("trials-*"):
        piece.unlink()
    with opened(browser, page_path) as watched:
        page = watched.page
        page.locator("#explorer-rows button").first.click()
        page.locator("#detail-trials", has_text="is not beside this page").wait_for()


def test_a_wrong_address_does_no_harm(browser, whole):
    with opened(
        browser, whole[1], address="#images?model=7&view=foo&m=nope&sort=-nope&image=gone&q=%E0%A4%A"
    ) as watched:
        assert len(shown(watched.page)) > 5
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
    bare = write_page(results, sections, tmp_path / "bare").stat().st_size + 200_000
    for budget in [size - 30_000, *range(bare, size, (size - bare) // 5)]:
        held, there = write_single(results, sections, path.parent, target, budget)
        assert target.stat().st_size <= budget
        assert held <= full[0]
        with opened(browser, target) as watched:
            words = watched.page.locator("main").inner_text()
            assert held == there or f"holds {held:,} of {there:,} pictures" in words
            assert watched.wrong == []
    with pytest.raises(AuditError, match=r"the page alone takes 0\.\d\d MB, more than the 0\.05 MB given"):
        write_single(results, sections, path.parent, target, 50_000)


def test_print_leaves_the_controls_out(browser, whole):
    with opened(browser, whole[1]) as watched:
        page = watched.page
        page.emulate_media(media="print")
        assert not page.locator("#explorer").is_visible()
        assert not page.locator("nav").first.is_visible()
        assert page.locator("#classes table").first.is_visible()
        assert len(page.pdf()) > 50_000


@pytest.mark.slow
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
        page.fill("#explorer-q", "img_77_")
        assert shown(page) == ["img_77_000", "img_77_001"]  # from the top, wherever one was
        page.fill("#explorer-q", "")
        page.eval_on_selector("#explorer-table", "e => { e.scrollTop = e.scrollHeight; }")
        page.wait_for_timeout(200)
        assert shown(page)[-1] == results.findings[0].observed.images["id"].iloc[-1]
        assert page.locator("#explorer-rows tr").count() < 80
        page.click("#explorer-view-gallery")
        assert page.locator("#explorer-cards li").count() < 120
        assert watched.wrong == []
