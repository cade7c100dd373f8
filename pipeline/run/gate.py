"""The gate: turns verdicts into PASS, WARN, FAIL or INCONCLUSIVE, and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pipeline.types import State, Verdict


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What the operator does with the verdict on the model (the twin is never gated)."""

    mode: Literal["advisory", "strict"]  # advisory reports and exits 0; strict exits 3 on FAIL, 4 on INCONCLUSIVE
    fail_on: Sequence[State]
    warn_on: Sequence[State]

    def __post_init__(self) -> None:
        states = get_args(State)
        for key, values in {"fail_on": self.fail_on, "warn_on": self.warn_on}.items():
            wrong = [v for v in values if v not in states]
            if wrong:
                raise ValueError(f"`{key}` may name {', '.join(states)}; got {', '.join(map(str, wrong))}")

    def __call__(self, verdict: Verdict) -> dict[str, object]:
        """`mode`, `result`, `exit_code` and `reason`, from the model's verdict."""
        if verdict.state in self.fail_on:
            result, strict_code = "FAIL", 3
        elif verdict.state in self.warn_on:
            result, strict_code = "WARN", 0
        elif verdict.state == "INCONCLUSIVE":
            result, strict_code = "INCONCLUSIVE", 4
        else:
            result, strict_code = "PASS", 0
        code = strict_code if self.mode == "strict" else 0
        return {"mode": self.mode, "result": result, "exit_code": code, "reason": f"the verdict is {verdict.state}"}
