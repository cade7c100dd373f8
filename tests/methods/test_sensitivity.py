"""The sanity check: a method that does not notice random weights is refused, one that does is not."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from pipeline.core.maps import resize
from pipeline.methods.gradients import InputXGradient, Saliency
from pipeline.methods.sensitivity import insensitive, similarity
from pipeline.models.classifier import classifier
from pipeline.models.randomised import randomised
from pipeline.types import Classifier, Images, Labels, Maps
from tests.models.test_randomised import PREPROCESSING, network_of


@dataclass(frozen=True, kw_only=True)
class EdgeDetector:
    """What some attribution methods have been shown to be."""

    reduce: str = "sum"
    sign: str = "absolute"
    noise: float = 0.0
    version: ClassVar[int] = 1

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
        edges = images.diff(dim=3).abs().sum(dim=1)
        said = classifier(images).gather(1, target[:, None]).sigmoid()[..., None]
        return resize(edges, classifier.frame) * (1 + 0.01 * said)


@pytest.fixture(scope="module")
def seen() -> Classifier:
    return classifier(network_of("resnet18"), [str(i) for i in range(5)], PREPROCESSING, torch.device("cpu"))


def test_an_edge_detector_is_refused_and_gradients_are_not(seen: Classifier) -> None:
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    images[:, :, :20] = 0  # a black margin: input x gradient is 0 there whatever the weights
    target = torch.tensor([0, 1, 2, 3])
    assert "not model-sensitive" in insensitive(EdgeDetector(), seen, partial(randomised, seen), images, target)  # type: ignore[arg-type]
    for method in (Saliency(reduce="max_abs", sign="absolute"), InputXGradient(reduce="sum", sign="absolute")):
        assert insensitive(method, seen, partial(randomised, seen), images, target) == ""


def test_a_method_that_fails_on_random_weights_cannot_be_judged(seen: Classifier) -> None:
    class Fails:
        sign = "absolute"

        def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
            if classifier is not seen:
                raise ZeroDivisionError
            return images.sum(dim=1)

    assert insensitive(Fails(), seen, partial(randomised, seen), torch.rand(2, 3, 64, 64), torch.tensor([0, 1])) == ""  # type: ignore[arg-type]


def test_maps_of_the_other_sign_are_other_maps(seen: Classifier) -> None:
    class Coin:
        """The object's silhouette, for or against: one random network in two is right by luck."""

        sign = "positive"

        def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps:
            side = 1.0 if classifier is seen else torch.sign(classifier(images)[:, :1, None] - 0.2)
            return images.sum(dim=1) * side

    assert insensitive(Coin(), seen, partial(randomised, seen), torch.rand(2, 3, 64, 64), torch.tensor([0, 1])) == ""  # type: ignore[arg-type]


def test_rank_correlation_where_something_speaks() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 1, 6, 6))
    a[0, :3], b[0, :2] = 0, 0
    counted = (a != 0) | (b != 0)
    expected = spearmanr(a[counted], b[counted]).statistic
    assert similarity(torch.tensor(a), torch.tensor(b))[0] == pytest.approx(expected)
    nothing = torch.zeros(1, 6, 6)
    assert np.isnan(similarity(nothing, torch.tensor(b))[0])
    assert np.isnan(similarity(torch.full((1, 6, 6), torch.nan), torch.tensor(b))[0])
