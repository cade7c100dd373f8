"""How long a report of many images takes until its verdict shows and until its explorer is of use, from disk.

    python tests/benchmarks/pages.py

Made-up results of 50, 2,000 and 50,000 images in a headless Chromium without a network. Prints medians by the page's
own clock, in milliseconds: the first paint (the verdict is on the first screen), the explorer ready with its rows
drawn, a sort of all rows by a number, a search by name; and sizes.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from pipeline.report.page import write_page
from tests.contracts.test_sections import CONF, build
from tests.report import fake_results
from tests.report.browser import chromium, opened

ROUNDS = 5
READY = """() => ({
  paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
  ready: performance.getEntriesByName("explorer")[0].startTime,
  heap: performance.memory.usedJSHeapSize / 1e6,
})"""
TIMED = """(act) => {
  const began = performance.now();
  const part = (id) => document.getElementById("explorer-" + id);
  if (act === "sort") { part("sort").value = "p"; part("sort").dispatchEvent(new Event("change")); }
  else { part("q").value = "99"; part("q").dispatchEvent(new Event("input")); }
  part("rows").getBoundingClientRect();
  return performance.now() - began;
}"""


def main() -> None:
    """One line per number of images."""
    sections = {p.stem: build(p) for p in CONF}
    order = ["verdict", "findings", "classes", "images", "review"]
    sections = {n: sections[n] for n in [*order, *sorted(sections.keys() - set(order))]}
    print("images  first paint  explorer  sort  search   page MB  data MB  heap MB")
    with chromium() as browser:
        for per_class in (10, 400, 10_000):
            with tempfile.TemporaryDirectory() as folder:
                results = fake_results.realistic(Path(folder), per_class=per_class)
                page = write_page(replace(results, findings=results.findings[:1]), sections, Path(folder))
                _print(browser, page, per_class * 5)


def _print(browser: object, page: Path, images: int) -> None:
    rounds = []
    for _ in range(ROUNDS):
        with opened(browser, page, viewport={"width": 1440, "height": 1000}) as watched:
            watched.page.wait_for_selector("#explorer-rows th")
            found = watched.page.evaluate(READY)
            rounds.append({**found, **{act: watched.page.evaluate(TIMED, act) for act in ("sort", "search")}})
            assert watched.wrong == [], watched.wrong
    middle = {k: statistics.median(r[k] for r in rounds) for k in rounds[0]}
    sizes = [p.stat().st_size / 1e6 for p in (page, page.parent / "data" / "images.js")]
    times = "  ".join(f"{middle[k]:{w}.0f} ms" for k, w in (("paint", 8), ("ready", 5), ("sort", 3), ("search", 3)))
    print(
        f"{images:6,}  {times}  {sizes[0]:7.2f}  {sizes[1]:7.2f}  {middle['heap']:7.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
