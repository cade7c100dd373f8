"""One model of a stored run, read from what its summary.json says; summaries of older versions too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

from pipeline.types import Evidence, Role, State, Verdict

EVIDENCE = {f.name for f in fields(Evidence)}
OLD_ROLES: Mapping[str, Role] = {"removed_excess": "removal", "targeted": "place", "low_level": "property"}


@dataclass(frozen=True, kw_only=True)
class AuditedModel:
    """One model of a run: its verdict, and one verdict with its evidence per audited class."""

    name: str
    accuracy: float  # NaN where nothing was audited
    images: int
    verdict: Verdict
    classes: tuple[Verdict, ...]
    methods: tuple[Mapping[str, str], ...]


def model_of(stored: Mapping[str, Any]) -> AuditedModel:
    """A model as summary.json describes it. Raises KeyError, TypeError or ValueError where that is no summary."""
    verdict = stored["verdict"]
    return AuditedModel(
        name=str(stored["name"]),
        accuracy=_number(stored["accuracy"]),
        images=int(stored["images"]),
        verdict=_verdict({**verdict, "class": "model", "guards": [], "evidence": []}),
        classes=tuple(_verdict(c) for c in stored["classes"]),
        methods=tuple(dict(m) for m in stored["methods"]),
    )


def _verdict(stored: Mapping[str, Any]) -> Verdict:
    name, state = str(stored["class"]), stored["state"]
    if state not in get_args(State):
        raise ValueError(f"no verdict is called {state!r}")
    evidence = tuple(_evidence(e, name) for e in stored["evidence"])
    guards = tuple(map(str, stored["guards"]))
    carried = [c["signal"] for c in stored.get("carried_by", ())]
    return Verdict(
        scope=name,
        state=state,
        reason=str(stored["reason"]),
        carried_by=tuple(e for signal in carried for e in evidence if e.signal == signal),
        guards=guards,
        evidence=evidence,
    )


def _evidence(stored: Mapping[str, Any], name: str) -> Evidence:
    """One piece of evidence; older versions wrote whether it `decides`, and neither role, carrier nor gate."""
    known = {k: v for k, v in stored.items() if k in EVIDENCE}
    numbers: dict[str, Any] = {k: _number(stored[k]) for k in ("estimate", "low", "high", "p_value", "detectable")}
    role = stored["role"] if "role" in stored else _role(str(stored["signal"]), bool(stored["decides"]))
    if role not in get_args(Role):
        raise ValueError(f"no role is called {role!r}")
    return Evidence(class_name=name, **{**known, **numbers, "role": role, "gate": _number(stored.get("gate"))})


def _role(signal: str, decides: bool) -> Role:
    """The role of evidence that an older version wrote without one."""
    return OLD_ROLES.get(signal, "surroundings") if decides else "lead"


def _number(stored: float | None) -> float:
    """JSON's null is undefined."""
    return math.nan if stored is None else float(stored)
