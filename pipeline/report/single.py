"""The report as one file for mail, within a size that it keeps: style, script, data and as many pictures as fit."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pipeline.report.explorer import columns, script, trial_pieces
from pipeline.report.page import application, page_html, scripted, style
from pipeline.run.folder import atomic
from pipeline.types import AuditError, Results, Section

NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="  # where a picture did not fit; its alt text stays
TYPES = {".webp": "image/webp", ".png": "image/png"}
NO_EXPLORER = "The explorer's data did not fit into this file; it is in the report's folder."
RESERVE = 20_000  # bytes for the sentence on what was left out, and for names in the tables of pictures


def write_single(
    results: Results, sections: Mapping[str, Section], folder: Path, target: Path, budget: int
) -> tuple[int, int]:
    """Writes `target`; `folder` holds the report's pictures.

    What matters most goes in first: the page, the pictures in it, the explorer's columns, its pictures in the order in
    which they were chosen, and last what was changed in each image.

    Args:
        budget: bytes that the file may have.

    Returns:
        How many pictures are in it, and how many there are.

    Raises:
        AuditError: the page alone, without a picture, is larger than the budget.
    """
    own = scripted(sections)
    page = page_html(results, sections).replace('<link rel="stylesheet" href="app.css">', f"<style>\n{style()}</style>")
    page = from_above(page)
    bare = _size(page) + (len(application()) if own else 0) + page.count('src="./') * len(NOTHING)
    reserve = RESERVE
    while True:
        room = _Room(budget - reserve - bare)
        if room.left < 0:
            raise AuditError(
                f"`report.budget_mb`: the page alone takes {(bare + reserve) / 1e6:.2f} MB, more than the "
                f"{budget / 1e6:g} MB given"
            )
        content = columns(results) if own else {}
        wanted = _paths(content, page)
        html, shown = _with_pictures(page, folder, room)
        code, more = _application(content, results, folder, room) if own else ([], set())
        held = (shown | more) & wanted
        html = _with_scripts(_note(html, len(held), len(wanted), budget, whole=len(code) > 1 or not own), code)
        over = _size(html) - budget
        if over <= 0:
            break
        reserve += over + RESERVE  # what was reckoned too small
    with atomic(target) as part:
        part.write_bytes(html.encode("utf-8", errors="backslashreplace"))
    return len(held), len(wanted)


def from_above(page: str) -> str:
    """The page's links to other runs' reports as they read in the run's folder, which lies a folder higher."""
    return re.sub(r'href="(\./)?\.\./\.\./', 'href="../', page)


def _size(html: str) -> int:
    return len(html.encode("utf-8", errors="backslashreplace"))


class _Room:
    """Bytes that are left."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, size: int) -> bool:
        if size > self.left:
            return False
        self.left -= size
        return True


def _paths(content: Mapping[str, Any], page: str) -> set[str]:
    """Every picture file of the report."""
    paths = {unquote(path) for path in re.findall(r'src="\./([^"]+)"', page)}
    for model in content.get("models", []):
        paths |= {path for entry in model["pictures"].values() for path in _files(entry)}
        paths |= {edit[3] for edits in model["edits"].values() for edit in edits}
    return paths


def _files(entry: Mapping[str, Any]) -> list[str]:
    return [p for p in (entry["photo"], *entry["heats"].values(), entry.get("mask", "")) if p]


def _with_pictures(html: str, folder: Path, room: _Room) -> tuple[str, set[str]]:
    """The page's own pictures in it, in their order, while there is room."""
    used: set[str] = set()

    def inlined(found: re.Match[str]) -> str:
        path = unquote(found.group(1))
        data = _data(folder / path)
        if not data or not room.take(len(data)):
            return f'src="{NOTHING}"'
        used.add(path)
        return f'src="{data}"'

    return re.sub(r'src="\./([^"]+)"', inlined, html), used


def _application(content: dict[str, Any], results: Results, folder: Path, room: _Room) -> tuple[list[str], set[str]]:
    """The explorer's columns with the pictures that still fit, its changes if they all fit, and its program."""
    bare = script({**content, "models": [{**m, "pictures": {}, "edits": {}} for m in content["models"]]})
    if not room.take(len(bare)):
        return [], set()
    files: dict[str, str] = {}
    for model in content["models"]:
        pictures, edits = model["pictures"], model["edits"]
        model["pictures"] = {r: e for r, e in pictures.items() if _fit([r, e], _files(e), folder, room, files)}
        model["edits"] = {}
        for row, edit in ((r, e) for r, several in edits.items() for e in several):
            if _fit([row, edit], [edit[3]], folder, room, files):
                model["edits"].setdefault(row, []).append(edit)
    pieces = [f"AUDIT.trials[{m}][{piece}] = {script(rows)};" for m, piece, rows in trial_pieces(results)]
    if not room.take(sum(map(len, pieces))):
        pieces = []
    data = f"window.AUDIT = {script(content)};\nAUDIT.files = {script(files)};"
    return ["\n".join([data, *pieces]), application()], set(files)


def _fit(entry: object, paths: Iterable[str], folder: Path, room: _Room, files: dict[str, str]) -> bool:
    """Takes all of these files into `files`, and room for what is said about them, or nothing."""
    new = {p: _data(folder / p) for p in paths if p not in files}
    size = len(script(entry)) + sum(len(script(p)) + len(d) + 4 for p, d in new.items())
    if not all(new.values()) or not room.take(size):
        return False
    files |= new
    return True


def _data(path: Path) -> str:
    """A picture as a URL that holds it; "" where there is none."""
    if not path.is_file():
        return ""
    return f"data:{TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _note(html: str, held: int, there: int, budget: int, *, whole: bool) -> str:
    """Says what the file lacks, before the first section; `whole` tells whether the explorer is in it."""
    if not whole:
        html = html.replace(
            '<div id="explorer" hidden>', f'<p class="empty">{NO_EXPLORER}</p>\n<div id="explorer" hidden>'
        )
    if held == there:
        return html
    text = (
        f"This file holds {held:,} of {there:,} pictures, to stay below {budget / 1e6:g} MB; all are in the report's "
        "folder."
    )
    return html.replace('<main id="main">', f'<main id="main">\n<p class="rest">{text}</p>', 1)


def _with_scripts(html: str, code: list[str]) -> str:
    """Scripts in the page, each allowed by its hash and nothing else."""
    html = re.sub(r'<script src="[^"]+" defer></script>\n', "", html)
    # A script ends at the first `</`, wherever that stands; in our own strings it can be written otherwise.
    safe = ["\n" + c.replace("</", "<\\/") + "\n" for c in code]
    hashes = [base64.b64encode(hashlib.sha256(c.encode()).digest()).decode() for c in safe]
    allowed = " ".join(f"'sha256-{h}'" for h in hashes) or "'none'"
    html = html.replace("script-src 'self'", f"script-src {allowed}").replace("style-src 'self'", "style-src")
    return html.replace("</body>", "".join(f"<script>{c}</script>\n" for c in safe) + "</body>")
