"""Columns: what was put in comes out, in order; a batch of another shape is refused."""

import numpy as np
import pytest

from pipeline.passes.columns import Columns


def test_batches_come_out_as_one() -> None:
    found = Columns(5)
    found.add({"a": np.array([1, 2]), "b": np.array([True, False])})
    found.add({"a": np.array([3]), "b": np.array([np.nan])})
    assert len(found) == 3
    assert found.columns()["a"].tolist() == [1, 2, 3]
    assert np.array_equal(found.columns()["b"], [1, 0, np.nan], equal_nan=True)


def test_nothing_and_nothing_else() -> None:
    assert Columns(0).columns() == {}
    found = Columns(2)
    found.add({"a": np.array([1.0])})
    with pytest.raises(ValueError, match="must be a, got b"):
        found.add({"b": np.array([1.0])})
    with pytest.raises(ValueError, match="room for 2 rows, got 3"):
        found.add({"a": np.array([1.0, 2.0])})
