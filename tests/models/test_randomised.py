"""Random weights: every learned tensor replaced, the user's network untouched, the same draw every time."""

import copy

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from pipeline.models.classifier import classifier
from pipeline.models.preprocessing import Preprocessing
from pipeline.models.randomised import randomised

PREPROCESSING = Preprocessing(resize=[64, 64], crop=None, mean=[0, 0, 0], std=[1, 1, 1])
SIZED = {"vit_b_16": {"image_size": 64}}


def network_of(name: str) -> nn.Module:
    """With values that no initialisation gives, so that what stays can be told."""
    network = get_model(name, weights=None, num_classes=5, **SIZED.get(name, {}))
    rng = torch.Generator().manual_seed(0)
    for p in network.parameters():
        p.data = 0.1 + 0.02 * torch.randn(p.shape, generator=rng)
    return network


LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("vit_b_16", "convnext_tiny")]


@pytest.mark.parametrize("name", ["resnet18", *LARGE])
def test_every_tensor_is_drawn_anew(name: str) -> None:
    network = network_of(name)
    before = copy.deepcopy(network.state_dict())
    seen = classifier(network, [str(i) for i in range(5)], PREPROCESSING, torch.device("cpu"))
    torch.manual_seed(11)
    state = torch.get_rng_state()
    random = randomised(seen, 3)
    assert torch.equal(torch.get_rng_state(), state)  # the caller's randomness is its own
    kept = [
        n
        for (n, a), (_, b) in zip(seen.module.named_parameters(), random.module.named_parameters(), strict=True)
        if torch.equal(a, b)
    ]
    assert kept == []
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    images = torch.rand(2, 3, 64, 64)
    assert random(images).isfinite().all()
    assert not torch.allclose(random(images), seen(images), atol=1e-3)
    with torch.no_grad():
        assert torch.allclose(random.fast(images), random.module(images), atol=1e-4)
    assert torch.equal(random(images), randomised(seen, 3)(images))
    assert not torch.equal(random(images), randomised(seen, 4)(images))


def test_measured_chunks_are_kept() -> None:
    seen = classifier(network_of("resnet18"), [str(i) for i in range(5)], PREPROCESSING, torch.device("cpu"))
    vars(seen)["forward_chunk"] = 7
    assert randomised(seen, 0).forward_chunk == 7
