"""How the audit looks: exact log-odds, classes by name, randomness by name, halves when memory runs out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.passes.eye import class_index, generator, halved, in_batches, log_odds
from pipeline.types import AuditError


def test_log_odds_are_those_of_the_softmax() -> None:
    logits = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    p = logits.double().softmax(dim=1)
    assert torch.allclose(log_odds(logits), torch.log(p / (1 - p)), atol=1e-9)


def test_log_odds_stay_exact_where_the_softmax_rounds_to_one() -> None:
    """log p / (1 - p) of the winner is its logit less the log-sum of the others."""
    logits = torch.tensor([[300.0, 0.0, 0.0], [0.0, -300.0, 5.0]])
    odds = log_odds(logits)
    assert odds[0, 0].item() == pytest.approx(300 - np.log(2))
    assert odds[1, 2].item() == pytest.approx(5.0)
    assert odds[1, 1].item() == pytest.approx(-300 - np.log(1 + np.exp(5)))
    assert odds.isfinite().all()


def test_classes_are_found_by_name_number_and_alphabet() -> None:
    index = class_index(
        {"zebra", "cat", "Persian"}, ("dog", "zebra", "cat", "Persian cat"), {"Persian": "Persian cat", "cat": 2}
    )
    assert list(index.items()) == [("Persian", 3), ("cat", 2), ("zebra", 1)]


def test_two_classes_cannot_share_an_output() -> None:
    with pytest.raises(AuditError, match="one output to several classes: a, b"):
        class_index({"a", "b"}, ("x", "y"), {"a": "x", "b": 0})


def test_randomness_belongs_to_its_name() -> None:
    first, again, other = (generator(0, name).integers(0, 2**30) for name in ("a", "a", "b"))
    assert first == again != other


def test_out_of_memory_means_halves_and_every_row_once() -> None:
    seen: list[int] = []

    def work(rows: np.ndarray) -> None:
        if len(rows) > 3:
            raise torch.OutOfMemoryError("too many")
        seen.extend(rows.tolist())

    for rows in in_batches(np.arange(21), 10):
        halved(work, rows)
    assert seen == list(range(21))


def test_a_single_image_that_does_not_fit_ends_the_run() -> None:
    def work(rows: np.ndarray) -> None:
        raise torch.OutOfMemoryError("too large")

    with pytest.raises(AuditError, match="memory does not suffice for one image"):
        halved(work, np.arange(4))
