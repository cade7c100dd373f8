"""The gate's table: mode x verdict -> result and exit code."""

import pytest

from pipeline.run.gate import Gate
from pipeline.types import Verdict


@pytest.mark.parametrize(
    ("state", "result", "strict_code"),
    [("SHORTCUT", "FAIL", 3), ("CONTEXT", "WARN", 0), ("INCONCLUSIVE", "INCONCLUSIVE", 4), ("CLEAR", "PASS", 0)],
)
def test_the_gate(state: str, result: str, strict_code: int) -> None:
    verdict = Verdict(scope="model", state=state, reason="")  # type: ignore[arg-type]
    for mode, code in (("strict", strict_code), ("advisory", 0)):
        outcome = Gate(mode=mode, fail_on=["SHORTCUT"], warn_on=["CONTEXT"])(verdict)  # type: ignore[arg-type]
        assert (outcome["result"], outcome["exit_code"], outcome["mode"]) == (result, code, mode)


def test_context_can_be_made_to_fail() -> None:
    gate = Gate(mode="strict", fail_on=["SHORTCUT", "CONTEXT"], warn_on=[])
    assert gate(Verdict(scope="model", state="CONTEXT", reason=""))["exit_code"] == 3


def test_unknown_states_are_named() -> None:
    with pytest.raises(ValueError, match="`fail_on` may name SHORTCUT, CONTEXT, CLEAR, INCONCLUSIVE; got RED"):
        Gate(mode="strict", fail_on=["RED"], warn_on=[])  # type: ignore[list-item]
