"""A headless Chromium without a network, for the tests that open reports from disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable() -> str | None:
    """The machine's own Chromium, or the one that SHORTCUT_AUDIT_CHROMIUM names."""
    return os.environ.get("SHORTCUT_AUDIT_CHROMIUM") or next((p for p in map(shutil.which, NAMES) if p), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """Skips where there is no Chromium."""
    path = executable()
    if path is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium), or its path in SHORTCUT_AUDIT_CHROMIUM")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, and everything that it should not have done."""

    page: Any
    wrong: list[str] = field(default_factory=list)


@contextmanager
def opened(browser: Any, path: Path, *, address: str = "", **options: Any) -> Iterator[Watched]:
    """A page opened from disk, offline; `wrong` gathers errors, dialogs, and requests of anything but files."""
    context = browser.new_context(offline=True, accept_downloads=True, **options)
    watched = Watched(page=context.new_page())
    page = watched.page
    page.set_default_timeout(10_000)
    page.on("console", lambda m: watched.wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: watched.wrong.append(str(e)))
    page.on("requestfailed", lambda r: watched.wrong.append(f"failed: {r.url}"))
    page.on(
        "request",
        lambda r: (
            None if r.url.startswith(("file:", "data:", "blob:")) else watched.wrong.append(f"asked for: {r.url}")
        ),
    )
    page.on("dialog", lambda d: (watched.wrong.append(f"dialog: {d.message}"), d.dismiss()))
    page.goto(path.as_uri() + address)
    yield watched
    context.close()
