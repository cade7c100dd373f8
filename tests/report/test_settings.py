"""What the report shows: mistakes are named."""

import pytest

from pipeline.report.settings import ReportSettings

GOOD = {"images": 0, "single_file": False, "budget_mb": 10, "open": False}


def test_none_drawn_is_fine() -> None:
    assert ReportSettings(**GOOD).images == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": -1}, "`images` must be 0 or more, got -1"),
        ({"budget_mb": 0}, "`budget_mb` must be a number above 0, got 0"),
        ({"budget_mb": float("nan")}, "`budget_mb`.*got nan"),
        ({"budget_mb": float("inf")}, "`budget_mb`.*got inf"),
    ],
)
def test_mistakes_are_named(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ReportSettings(**(GOOD | change))
