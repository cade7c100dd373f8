"""The classes: per model, every class's verdict with the effects that decided it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, get_args

import pandas as pd

from pipeline.judge import MARKS
from pipeline.report import charts
from pipeline.report.reading import all_evidence, by_signal, class_rows, class_verdicts, deciding, detail
from pipeline.report.render import effect, render, unit_words, words
from pipeline.types import Evidence, Findings, Results, Role, Verdict

ROLES: dict[str, tuple[Role, ...]] = {"mark": MARKS, **{role: (role,) for role in get_args(Role)}}  # by column


@dataclass(frozen=True, kw_only=True)
class ClassesSection:
    """One row per class, the most serious first: verdict, deciding effects with intervals, the maps, the reason."""

    limit: int  # classes shown per model; the rest is counted, and is in classes.csv
    signals: Sequence[
        str
    ]  # that get a column, in this order, or roles (and `mark`: places and properties): the strongest
    title: ClassVar[str] = "Classes"

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"`limit` must be 1 or more, got {self.limit}")

    def __call__(self, results: Results) -> str:
        tables = [_by_column(f, self.signals) for f in results.findings]
        domains = {c: _domain([e for t in tables for e in t.get(c, {}).values()]) for t in tables for c in t}
        return render(
            "classes.html", models=[self._model(f, t, domains) for f, t in zip(results.findings, tables, strict=True)]
        )

    def _model(
        self, findings: Findings, table: Mapping[str, Mapping[str, Evidence]], domains: Mapping[str, charts.Domain]
    ) -> dict[str, object]:
        verdicts, evidence = class_verdicts(findings), all_evidence(findings)
        columns = [_Column(signal=s, evidence=own, domain=domains[s]) for s, own in table.items()]
        shown = verdicts[: self.limit]
        names = {v.scope for v in shown}
        return {
            "findings": findings,
            "columns": columns,
            "rows": _rows(findings, shown, columns),
            "rest": len(verdicts) - len(shown),
            "evidence": [e for e in evidence if e.class_name in names],
        }


def _by_column(findings: Findings, wanted: Sequence[str]) -> dict[str, dict[str, Evidence]]:
    """Column -> class -> its evidence: the wanted signals and roles, or the first three signals that decide."""
    evidence = all_evidence(findings)
    signals, found = by_signal(evidence), deciding(findings)
    table: dict[str, dict[str, Evidence]] = {}
    for name in [w for w in wanted if w in found or w in ROLES] or found[:3]:
        own = _strongest(findings, evidence, ROLES[name]) if name in ROLES else _by_class(signals[name])
        if own:
            table[name] = own
    return table


def _strongest(findings: Findings, evidence: Sequence[Evidence], roles: Sequence[Role]) -> dict[str, Evidence]:
    """Class -> of its evidence of some roles what carries it, else the largest effect; undefined ones come last."""
    carried = {v.scope: next((e for e in v.carried_by if e.role in roles), None) for v in findings.verdicts[1:]}
    found: dict[str, Evidence] = {}
    for e in sorted((e for e in evidence if e.role in roles), key=_size, reverse=True):
        found.setdefault(e.class_name, e)
    return found | {c: e for c, e in carried.items() if e is not None}


def _size(e: Evidence) -> float:
    return -math.inf if math.isnan(e.estimate) else e.estimate


@dataclass(frozen=True, kw_only=True)
class _Column:
    """One deciding signal, or role: its evidence by class, drawn on an axis that all models share."""

    signal: str  # or the role
    evidence: Mapping[str, Evidence]
    domain: charts.Domain

    @property
    def unit(self) -> str:
        return next(iter(self.evidence.values())).unit

    def cell(self, name: str) -> dict[str, object] | None:
        """The evidence on one class with its chart; None where the signal said nothing."""
        item = self.evidence.get(name)
        if item is None:
            return None
        null = detail(item, "null")
        bar = charts.interval_bar(
            item.estimate,
            item.low,
            item.high,
            domain=self.domain,
            null=0.0 if math.isnan(null) else null,
            gate=detail(item, "gate"),
            label=_sentence(item),
        )
        what = item.carrier if self.signal in ROLES else ""
        return {
            "evidence": item,
            "bar": bar,
            "what": what,
            "q": detail(item, "q"),
            "undefined": math.isnan(item.estimate),
        }


def _by_class(evidence: Sequence[Evidence]) -> dict[str, Evidence]:
    """The first one counts where a signal speaks twice on a class."""
    return {e.class_name: e for e in reversed(evidence)}


def _domain(evidence: Sequence[Evidence]) -> charts.Domain:
    """From the smallest to the largest number to be drawn, with the lines that they are compared with."""
    numbers = [0.0]
    for item in evidence:
        numbers += [item.low, item.high, item.estimate, detail(item, "gate"), detail(item, "null")]
    finite = [v for v in numbers if math.isfinite(v)]
    pad = 0.06 * (max(finite) - min(finite)) or 1.0
    return min(finite) - pad, max(finite) + pad


def _sentence(item: Evidence) -> str:
    estimate, low, high = (effect(v, item.unit) for v in (item.estimate, item.low, item.high))
    gate = detail(item, "gate")
    against = "" if math.isnan(gate) else f"; gate {effect(gate, item.unit)}"
    return f"{words(item.signal)}: {estimate}, 95 % interval {low} to {high} {unit_words(item.unit)}{against}"


def _rows(findings: Findings, verdicts: list[Verdict], columns: list[_Column]) -> list[dict[str, object]]:
    images, scores = class_rows(findings.observed.images), class_rows(findings.observed.scores)
    nothing = pd.DataFrame()
    return [
        {
            "verdict": v,
            "carried": ", ".join(dict.fromkeys(e.carrier for e in v.carried_by if e.carrier)),
            "n": len(images.get(v.scope, nothing)),
            "accuracy": float(images[v.scope]["correct"].mean()) if v.scope in images else math.nan,
            "area": float(images[v.scope]["area_fraction"].median()) if v.scope in images else math.nan,
            "maps": _maps(scores.get(v.scope, nothing)),
            "cells": [column.cell(v.scope) for column in columns],
        }
        for v in verdicts
    ]


def _maps(scores: pd.DataFrame) -> list[tuple[str, float, float]]:
    """Per method, the medians of inside share and lift."""
    if not {"inside_share", "lift"} <= set(scores.columns):
        return []
    medians = scores.groupby("method", sort=False)[["inside_share", "lift"]].median()
    return [(str(name), float(row["inside_share"]), float(row["lift"])) for name, row in medians.iterrows()]
