"""References of the attribution lead: paired shares by brute force, shuffled boxes, random weights, a bank."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.methods.gradients import InputXGradient
from pipeline.models.classifier import Classifier, classifier
from pipeline.models.preprocessing import Preprocessing
from pipeline.passes.decode import Stock
from pipeline.passes.eye import Eye
from pipeline.passes.refer import COLUMNS, References, pair_shares, sample
from pipeline.signals.attribution_lead import referred
from pipeline.types import AuditError
from tests.studies import PREPROCESSING, stocked
from tests.worlds import CLASSES, CornerReader, ObjectReader

METHODS = {"input_x_gradient": InputXGradient(reduce="sum", sign="absolute")}
ASKED: dict[str, Any] = {"class_map": {}, "seed": 0, "batch_size": 7}


class Bank:
    """A source that hands out one of the planted worlds."""

    def __init__(self, network: torch.nn.Module, preprocessing: Preprocessing = PREPROCESSING) -> None:
        self.network, self.preprocessing = network, preprocessing

    def load(self, device: torch.device) -> Classifier:
        return classifier(self.network, CLASSES, self.preprocessing, device)


@pytest.fixture
def world(tmp_path: Path) -> tuple[Eye, Stock]:
    eye, stock = stocked(CornerReader(), tmp_path / "frames", 6, marked=0)
    list(stock.walk(8))
    return eye, stock


def test_shares_of_all_pairs_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    maps, masks = rng.normal(size=(3, 5, 4)), rng.uniform(size=(3, 5, 4)) < 0.4
    maps[1] = -1.0  # no mass
    masks[2] = False
    found = pair_shares(torch.tensor(maps), torch.tensor(masks))
    for i in range(3):
        for j in range(3):
            mass = maps[i].clip(min=0)
            expected = mass[masks[j]].sum() / mass.sum() if i != 1 and j != 2 else np.nan
            assert found[i, j].item() == pytest.approx(expected, nan_ok=True)


def test_a_sample_is_even_over_the_classes_and_repeatable() -> None:
    labels = ["a"] * 50 + ["b"] * 5 + ["c"] * 3
    rows = sample(labels, 12, np.random.default_rng(1))
    assert [int((np.array(labels)[rows] == c).sum()) for c in "abc"] == [4, 4, 3]
    assert np.array_equal(rows, sample(labels, 12, np.random.default_rng(1)))


def test_every_reference_on_the_same_images(world: tuple[Eye, Stock]) -> None:
    eye, stock = world
    bank = {"honest": Bank(ObjectReader()), "other": Bank(ObjectReader())}
    found = References(images=16, bank=bank)(eye, stock.frames, METHODS, **ASKED)
    assert list(found.columns) == COLUMNS
    assert set(found["reference"]) == {"own", "shuffled_boxes", "random_weights", "bank:honest", "bank:other"}
    assert (found.loc[found["reference"] == "own", "n"] == 4).all()
    assert (found.loc[found["reference"] == "shuffled_boxes", "n"] == 4 * 3).all()

    def share(reference: str, c: str) -> float:
        at = (found["reference"] == reference) & (found["class"] == c)
        return float(found.loc[at, "inside_share"].iloc[0])

    # The corner reader explains `red` by the corner, and every honest model by the object; others agree.
    assert share("own", "red") < 0.2 < share("bank:honest", "red")
    assert share("bank:honest", "red") == share("bank:other", "red")
    assert share("own", "green") == pytest.approx(share("bank:honest", "green"))
    assert share("shuffled_boxes", "green") < share("own", "green")
    assert found.loc[found["reference"].isin(["own", "shuffled_boxes"]), "similarity"].isna().all()
    assert found.loc[found["reference"] == "random_weights", "similarity"].abs().max() < 0.9
    details = referred(found, "red", "input_x_gradient")
    assert details["own_sampled"] == share("own", "red")
    assert (details["bank_n"], details["bank_low"], details["bank_high"]) == (
        2,
        share("bank:honest", "red"),
        details["bank_middle"],
    )
    assert referred(None, "red", "input_x_gradient") == {}


def test_the_same_whatever_the_batch(world: tuple[Eye, Stock]) -> None:
    eye, stock = world
    a, b = (References(images=16)(eye, stock.frames, METHODS, **{**ASKED, "batch_size": n}) for n in (3, 64))
    assert np.allclose(a["inside_share"], b["inside_share"], equal_nan=True)


def test_a_bank_that_sees_other_pixels_is_an_error(world: tuple[Eye, Stock]) -> None:
    eye, stock = world
    smaller = Preprocessing(resize=[16, 16], crop=None, mean=[0, 0, 0], std=[1, 1, 1])
    with pytest.raises(AuditError, match=r"references\.bank\.old: needs other preprocessing"):
        References(images=8, bank={"old": Bank(ObjectReader(), smaller)})(eye, stock.frames, METHODS, **ASKED)


def test_one_image_has_no_reference() -> None:
    with pytest.raises(ValueError, match="`images` must be 2 or more"):
        References(images=1)
