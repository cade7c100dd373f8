"""The rows of classes.csv: per model and class the verdict and the numbers behind it."""

from __future__ import annotations

import pandas as pd

from pipeline.types import Evidence, Findings, Verdict

REFERENCES = ("shuffled_boxes", "random_weights", "bank_middle")


def class_rows(findings: Findings) -> pd.DataFrame:
    """One row per audited class; columns are described in the README."""
    images, rows = findings.observed.images, []
    for verdict in findings.verdicts[1:]:
        own = images[images["class"] == verdict.scope]
        row: dict[str, object] = {
            "model": findings.observed.model,
            "class": verdict.scope,
            "verdict": verdict.state,
            **_carried(verdict),
            "n": len(own),
            "accuracy": own["correct"].mean(),
            "area_fraction": own["area_fraction"].mean(),
        }
        for evidence in verdict.evidence:
            row |= _deciding(evidence) if evidence.decides else _lead(evidence)
        rows.append(row | {"guards": " ".join(verdict.guards), "reason": verdict.reason})
    return pd.DataFrame(rows)


def _carried(verdict: Verdict) -> dict[str, object]:
    """What carries the class, the strongest first, and how strongly; missing where nothing does."""
    first = verdict.carried_by[0] if verdict.carried_by else None
    return {
        "carried_by": "; ".join(dict.fromkeys(e.carrier for e in verdict.carried_by)),
        "carrier_role": first.role if first else "",
        "strength": first.estimate if first else None,
        "strength_low": first.low if first else None,
        "strength_high": first.high if first else None,
    }


def _deciding(e: Evidence) -> dict[str, object]:
    values = {"": e.estimate, "_low": e.low, "_high": e.high, "_p": e.p_value, "_q": e.details.get("q")}
    return {**{f"{e.signal}{end}": v for end, v in values.items()}, f"{e.signal}_detectable": e.detectable}


def _lead(e: Evidence) -> dict[str, object]:
    if not e.signal.startswith("attribution_lead:"):
        return {}  # the other leads have tables of their own in findings.csv
    method = str(e.details["method"])
    row: dict[str, object] = {"inside_share": e.estimate, "inside_share_low": e.low, "inside_share_high": e.high}
    row |= {key: e.details.get(key) for key in ("lift", *REFERENCES, "place", "share", "others_share")}
    renamed = {"place": "hotspot_place", "share": "hotspot_share", "others_share": "hotspot_others_share"}
    return {f"{renamed.get(key, key)}:{method}": value for key, value in row.items()}
