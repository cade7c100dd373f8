"""Captum's methods where Captum fails silently or loudly: they are refused with the reason, never wrong in silence."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from pipeline.methods.captums import DeepLift, Guided
from pipeline.methods.gradients import Saliency
from pipeline.methods.probe import probe
from pipeline.types import Method
from tests.methods.test_closed_forms import TARGET, images, small_net, wrapped

GUIDED = Guided(rule="guided_backprop", reduce="max_abs", sign="absolute")
DECONVOLUTION = Guided(rule="deconvolution", reduce="max_abs", sign="absolute")
DEEP_LIFT = DeepLift(reduce="sum", sign="positive", baseline=0.5)


class Functional(nn.Module):
    """As `small_net` in kind, but its ReLU is a function, which no hook sees."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(torch.relu(self.conv(images)).mean(dim=(2, 3)))


@pytest.mark.parametrize("method", [GUIDED, DECONVOLUTION])
def test_a_relu_that_is_a_function_cannot_be_guided(method: Method) -> None:
    """Captum gives the plain gradient there, without a word."""
    assert "no ReLU module changed the gradient" in probe(method, wrapped(Functional()), images(), TARGET)


def test_deep_lift_without_its_rules_is_not_complete() -> None:
    assert "of the score's difference" in probe(DEEP_LIFT, wrapped(Functional()), images(), TARGET)


def test_guiding_is_not_the_gradient_and_deep_lift_is_complete() -> None:
    model = wrapped(small_net(), 0.5, 0.25)
    plain = Saliency(reduce="max_abs", sign="absolute")(model, images(), TARGET)
    assert (GUIDED(model, images(), TARGET) - plain).abs().max() > 0.1 * plain.max()
    assert DEEP_LIFT.residual(model, images(), TARGET).max() < 1e-3


def test_a_relu_module_that_is_used_twice() -> None:
    """ResNets do; guided backpropagation can, DeepLIFT cannot, and says so."""
    torch.manual_seed(0)
    network = get_model("resnet18", weights=None, num_classes=3)
    model, shown = wrapped(network, 0.5, 0.25, frame=(64, 64)), torch.rand(2, 3, 64, 64)
    assert probe(GUIDED, model, shown, TARGET[:2]) == ""
    assert "it fails on this model" in probe(DEEP_LIFT, model, shown, TARGET[:2])
    assert all(m.inplace for m in network.modules() if isinstance(m, nn.ReLU))  # the user's network as it was


def test_wrong_rules_are_named() -> None:
    with pytest.raises(ValueError, match="`rule` must be one of guided_backprop, deconvolution"):
        Guided(rule="lrp", reduce="sum", sign="positive")  # type: ignore[arg-type]
