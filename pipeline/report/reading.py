"""What several sections ask of the results: verdicts in order, evidence by class, settings by key."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from pipeline.judge import strength
from pipeline.types import Box, Evidence, Findings, Results, State, Verdict

SEVERITY: tuple[State, ...] = ("SHORTCUT", "CONTEXT", "INCONCLUSIVE", "CLEAR")
FLAGGED: frozenset[State] = frozenset({"SHORTCUT", "CONTEXT"})


def model_verdict(findings: Findings) -> Verdict:
    """The judge's word on the model; INCONCLUSIVE where nothing was judged."""
    if findings.verdicts:
        return findings.verdicts[0]
    return Verdict(scope="model", state="INCONCLUSIVE", reason="Nothing was judged.")


def class_verdicts(findings: Findings) -> list[Verdict]:
    """The classes' verdicts in the judge's order: the most serious first, marks before surroundings, then the stronger.

    Of those that nothing carries, the largest effect of the first signal comes first.
    """
    signals = deciding(findings)[:1]
    first = {e.class_name: e.estimate for e in findings.evidence if e.signal in signals}

    def rank(verdict: Verdict) -> tuple[int, bool, float, float]:
        marked, strongest = strength(verdict)
        estimate = first.get(verdict.scope, math.nan)
        return SEVERITY.index(verdict.state), not marked, -strongest, math.inf if math.isnan(estimate) else -estimate

    return sorted(findings.verdicts[1:], key=rank)


def all_evidence(findings: Findings) -> list[Evidence]:
    """Every signal's evidence, as the judge handed it on where it did: with what the judge added to its details."""
    judged = {(e.signal, e.class_name): e for v in findings.verdicts for e in v.evidence}
    return [judged.get((e.signal, e.class_name), e) for e in findings.evidence]


def deciding(findings: Findings) -> list[str]:
    """The signals that may carry a verdict, in the order in which they were computed."""
    return list(dict.fromkeys(e.signal for e in findings.evidence if e.decides))


def subject(evidence: Evidence) -> str:
    """What a piece of evidence is about, the same in every run: its signal, or the place that it names.

    Places are numbered by how often they were tried, so that `place:1` is another one in another run.
    """
    numbered = evidence.role == "place" and evidence.carrier
    return f"place: {evidence.carrier}" if numbered else evidence.signal


def by_signal(evidence: Sequence[Evidence]) -> dict[str, list[Evidence]]:
    """The evidence of each signal, in its order."""
    found: dict[str, list[Evidence]] = {}
    for item in evidence:
        found.setdefault(item.signal, []).append(item)
    return found


def detail(evidence: Evidence, key: str) -> float:
    """A number that the signal or the judge left in `details`, NaN where there is none."""
    value = evidence.details.get(key, math.nan)
    return float(value) if isinstance(value, int | float) else math.nan


def place_of(evidence: Evidence | None) -> Box | None:
    """The box of the place that a piece of evidence is about, where it is about one; of a band what it goes round."""
    if evidence is None or "x0" not in evidence.details:
        return None
    x0, y0, x1, y1 = (detail(evidence, side) for side in ("x0", "y0", "x1", "y1"))
    return None if any(map(math.isnan, (x0, y0, x1, y1))) else (x0, y0, x1, y1)


def carrying_place(verdict: Verdict) -> Evidence | None:
    """The strongest place with a fixed box among what carries a class."""
    return next((e for e in verdict.carried_by if e.role == "place" and place_of(e)), None)


def pictures_of(results: Results, findings: Findings) -> pd.DataFrame:
    """The pictures of one model, in their order; no rows where none were made."""
    table = results.pictures
    return table if table.empty else table[table["model"] == findings.observed.model].sort_values("rank", kind="stable")


def class_rows(table: pd.DataFrame, column: str = "class") -> dict[str, pd.DataFrame]:
    """The rows of each class; an empty dict for an empty table."""
    return {} if table.empty else {str(name): rows for name, rows in table.groupby(column, sort=False)}


def pair(edit: dict, before: str | None, elsewhere: Mapping[str, str]) -> dict[str, object]:
    """An edit and its original; `hit` where the changed image is given the name of the class that it is shown for."""
    said = "says" if before is None else "still says" if edit["predicted"] == before else "now says"
    original = edit.get("original") or elsewhere.get(edit["id"])
    return {
        "edit": edit,
        "original": original,
        "before": before,
        "said": said,
        "hit": edit["predicted"] == edit["class"],
    }


def dotted(tree: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys and values; mappings are opened, and lists unless they hold plain values only."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from dotted(value, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list) and any(isinstance(v, Mapping | list) for v in tree):
        for i, value in enumerate(tree):
            yield from dotted(value, f"{path}[{i}]")
    elif path:
        yield path, tree


def drawn(results: Results) -> tuple[int, int]:
    """How many images have pictures, and how many of these were chosen: the telling ones and their controls."""
    shown = results.pictures
    chosen = set() if shown.empty else set(shown.loc[shown["kind"].isin(["telling", "control"]), "id"])
    album = set() if results.album is None or results.album.empty else set(results.album["id"])
    return len(chosen | album), len(chosen)
