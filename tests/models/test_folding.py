"""Batch norm folded away: the same logits and gradients, the user's network untouched, odd networks left alone."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from pipeline.core.timing import fastest_chunk
from pipeline.models.folding import folded

FAMILIES = ["resnet18", "mobilenet_v2", "densenet121", "googlenet", "shufflenet_v2_x0_5", "efficientnet_b0", "vgg11_bn"]


def lived_in(network: nn.Module) -> nn.Module:
    """With statistics and weights that a batch norm would have after training, so that folding does something."""
    rng = torch.Generator().manual_seed(0)
    for m in network.modules():
        if isinstance(m, nn.BatchNorm2d):
            for value, low, high in ((m.weight, 0.7, 1.3), (m.bias, -0.1, 0.1), (m.running_mean, -0.1, 0.1)):
                value.data.uniform_(low, high, generator=rng)
            m.running_var.uniform_(0.7, 1.3, generator=rng)
    return network.eval().double()


def norms(network: nn.Module) -> int:
    return sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_and_gradients_are_the_same(name: str) -> None:
    torch.manual_seed(0)
    plain = {"init_weights": False} if name == "googlenet" else {}
    network = lived_in(get_model(name, weights=None, num_classes=7, **plain))
    before = copy.deepcopy(network.state_dict())
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    light = folded(network, images)
    assert norms(light) < norms(network)
    gradients = []
    for n in (network, light):
        shown = images.clone().requires_grad_()
        logits = n(shown)
        gradients.append(torch.autograd.grad(logits[:, 3].sum(), shown)[0])
        assert torch.allclose(logits, network(images), atol=1e-9)
    assert torch.allclose(*gradients, atol=1e-9)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert {n for n, _ in light.named_modules()} == {n for n, _ in network.named_modules()}


class Reused(nn.Module):
    """One batch norm behind two convolutions: neither may swallow it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.norm = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.b(self.norm(self.a(images)))).mean(dim=(2, 3))


class Forked(nn.Module):
    """A convolution whose output is used without its batch norm, too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        found = self.conv(images)
        return (self.norm(found) + found).mean(dim=(2, 3))


class Deciding(nn.Module):
    """Control flow that depends on the data cannot be followed."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        found = self.norm(self.conv(images))
        return (found if found.sum() > 0 else -found).mean(dim=(2, 3))


@pytest.mark.parametrize("network", [Reused(), Forked(), Deciding()], ids=lambda n: type(n).__name__)
def test_what_cannot_be_folded_is_left(network: nn.Module) -> None:
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    light = folded(lived_in(network), images)
    assert norms(light) == norms(network)
    assert light is not network
    assert torch.allclose(light(images), network(images))


def test_a_batch_norm_without_running_statistics_is_left() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten()).eval()
    assert norms(folded(network, torch.rand(2, 3, 16, 16))) == 1


def test_the_chunk_stops_growing_where_it_no_longer_pays() -> None:
    asked: list[int] = []

    def run(size: int) -> None:
        asked.append(size)
        if size > 16:
            raise torch.OutOfMemoryError

    chosen = fastest_chunk(run, torch.device("cpu"))
    assert chosen in (4, 8, 16)
    assert max(asked) <= 32
