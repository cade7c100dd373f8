"""What people decided about findings and images, kept beside the runs of one name."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pipeline.run.folder import atomic
from pipeline.types import AuditError, Results

DECISIONS = ("unreviewed", "confirmed shortcut", "false alarm", "data error", "accepted")
SCHEMA_VERSION = 1
FILE = "reviews.json"  # in the folder that the runs of one name share
EXPECTED = "expected a file that a report's review section exported, JSON or CSV"


@dataclass(frozen=True, kw_only=True)
class Review:
    """One decision about a finding (a flagged class of one model) or about an image. Field names are the file's."""

    kind: str  # finding | image
    decision: str  # one of DECISIONS
    fingerprint: str = ""  # of a finding
    model: str = ""
    class_: str = ""  # `class` in the files
    state: str = ""  # the verdict that was reviewed
    image: str = ""  # id of an image
    note: str = ""
    reviewer: str = ""
    time: str = ""  # ISO 8601, UTC
    expires: str = ""  # last day on which the review holds; "" for ever

    def __post_init__(self) -> None:
        if self.kind not in ("finding", "image"):
            raise ValueError(f"`kind` must be finding or image, got {self.kind!r}")
        if self.decision not in DECISIONS:
            raise ValueError(f"`decision` must be one of {', '.join(DECISIONS)}, got {self.decision!r}")
        if not self.about:
            raise ValueError("`fingerprint` of a finding, or `image`, must not be empty")
        for key, value in (("time", self.time), ("expires", self.expires)):
            try:
                datetime.fromisoformat(value or "2000-01-01")
            except ValueError:
                raise ValueError(f"`{key}` must be a date, year first, got {value!r}") from None

    @property
    def about(self) -> str:
        """What stays the same from run to run: the finding's fingerprint, or the image's id."""
        return self.fingerprint if self.kind == "finding" else self.image

    def lapsed(self, today: date) -> bool:
        """Whether the day until which it was to hold has passed."""
        return bool(self.expires) and date.fromisoformat(self.expires[:10]) < today

    def plain(self) -> dict[str, str]:
        """As it stands in a file."""
        return {_written(key): value for key, value in asdict(self).items()}


def fingerprint(model: str, class_name: str, state: str) -> str:
    """What a finding is recognised by in later runs: the model's name, the class and the verdict; 12 hex digits.

    Weights, data and estimates may change from run to run; a class that turns from CONTEXT to SHORTCUT is a new
    finding and has to be looked at again.
    """
    return hashlib.sha256(json.dumps([model, class_name, state]).encode()).hexdigest()[:12]


def read_reviews(path: Path) -> tuple[str, list[Review]]:
    """The audit's name and the reviews in an exported file.

    Raises:
        AuditError: no such file, not an export, or a line in it that is none; names the file and the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise AuditError(f"{path}: no such file; {EXPECTED}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"{path} cannot be read ({error}); {EXPECTED}") from error
    name, rows = _from_json(path, text) if text.lstrip().startswith(("{", "[")) else _from_csv(path, text)
    reviews = []
    for i, row in enumerate(rows):
        try:
            reviews.append(_review(row))
        except (TypeError, ValueError, AttributeError) as error:
            raise AuditError(f"{path}: review {i + 1} is not one: {error}; {EXPECTED}") from None
    return name, reviews


def merged(old: Iterable[Review], new: Iterable[Review]) -> list[Review]:
    """One review per finding and image: the one made last. An unreviewed one without a note takes itself away."""
    newest: dict[tuple[str, str], Review] = {}
    for review in [*old, *new]:
        known = newest.get((review.kind, review.about))
        if known is None or review.time >= known.time:
            newest[review.kind, review.about] = review
    return [r for r in newest.values() if r.decision != "unreviewed" or r.note]


def kept(folder: Path) -> list[Review]:
    """The reviews of the runs in `folder`; none where none were applied. Raises AuditError for a damaged file."""
    path = folder / FILE
    return read_reviews(path)[1] if path.exists() else []


def with_reviews(results: Results, folder: Path) -> Results:
    """The results beside the reviews that were applied to the runs in `folder`."""
    return replace(results, reviews=tuple(r.plain() for r in kept(folder)))


@dataclass(frozen=True, kw_only=True)
class ApplyReviews:
    """`shortcut-audit review apply FILE`: the next runs of that name, and `report`, will show these reviews.

    `days` is how long a review without a date of its own holds; 0 is for ever.
    """

    file: str
    folder: str  # where the runs are, as `run.folder`
    name: str | None  # of the runs, as `run.name`; None takes the file's
    days: int

    def __post_init__(self) -> None:
        if self.days < 0:
            raise ValueError(f"`days` must be 0 or more, got {self.days}")

    def __call__(self) -> list[str]:
        """Merges the file into reviews.json; returns what there is to say.

        Raises:
            AuditError: the file is not an export, or there are no runs of that name.
        """
        path = Path(self.file)
        found, reviews = read_reviews(path)
        name = self.name or found
        if not name or Path(name).name != name or name.startswith("."):
            raise AuditError(f"{path} does not say which audit it reviews; give name=<the run.name of that audit>")
        runs = Path(self.folder) / name
        if not runs.is_dir():
            raise AuditError(
                f"{runs}: no runs there; give folder=<the run.folder of that audit>, or name=<its run.name>"
            )
        everything = merged(kept(runs), [replace(r, expires=r.expires or self._until(r)) for r in reviews])
        write_reviews(everything, name, runs / FILE)
        return _told(path, reviews, everything, runs)

    def _until(self, review: Review) -> str:
        """From the day of the review on, so that the same file applied again says the same."""
        made = date.fromisoformat(review.time[:10]) if review.time else datetime.now(UTC).date()
        return (made + timedelta(days=self.days)).isoformat() if self.days else ""


def write_reviews(reviews: Sequence[Review], name: str, path: Path) -> None:
    """As JSON that a report can import again."""
    content = {"schema_version": SCHEMA_VERSION, "name": name, "reviews": [r.plain() for r in reviews]}
    with atomic(path) as part:
        part.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _told(path: Path, reviews: Sequence[Review], everything: Sequence[Review], runs: Path) -> list[str]:
    counts = Counter(r.decision for r in everything)
    words = ", ".join(f"{counts[d]} {d}" for d in DECISIONS if counts[d]) or "none"
    return [
        f"{len(reviews)} reviews read from {path}; {runs / FILE} now holds {len(everything)}: {words}",
        "the next audit of that name shows them beside its verdicts, which they do not change; "
        f"to show them in the latest report: shortcut-audit report {runs / 'latest'}",
    ]


def _from_json(path: Path, text: str) -> tuple[str, list[Mapping[str, object]]]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise AuditError(f"{path} is not JSON ({error}); {EXPECTED}") from None
    if not isinstance(content, Mapping) or not isinstance(content.get("reviews"), list):
        raise AuditError(f"{path} has no list `reviews`; {EXPECTED}")
    if content.get("schema_version") != SCHEMA_VERSION:
        raise AuditError(f"{path} has schema_version {content.get('schema_version')!r}, {SCHEMA_VERSION} is known")
    return str(content.get("name", "")), content["reviews"]


def _from_csv(path: Path, text: str) -> tuple[str, list[Mapping[str, object]]]:
    try:
        table = list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise AuditError(f"{path} is not CSV ({error}); {EXPECTED}") from None
    # The export puts an apostrophe before what a spreadsheet would take for a formula.
    rows: list[Mapping[str, object]] = [{str(k): str(v or "").removeprefix("'") for k, v in r.items()} for r in table]
    if not rows or "decision" not in rows[0]:
        raise AuditError(f"{path} has no column `decision`, or no line; {EXPECTED}")
    return str(rows[0].get("name", "")), rows


def _review(row: Mapping[str, object]) -> Review:
    known = {_written(f.name): f.name for f in fields(Review)}
    return Review(**{known[k]: str(v or "") for k, v in row.items() if k in known})


def _written(field: str) -> str:
    return field.removesuffix("_")
