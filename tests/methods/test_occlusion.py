"""Occlusion agrees with Captum's on windows of every kind and on the torchvision families, and skips only nothing."""

from __future__ import annotations

import captum.attr
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipeline.methods.occlusion import Occlusion
from pipeline.methods.queue import _Selected, _Written
from pipeline.methods.windows import Windows
from tests.methods.test_closed_forms import FRAME, TARGET, images, small_net, wrapped
from tests.methods.test_incremental import calibrated

FAMILIES = [
    "resnet18", "resnext50_32x4d", "vgg11", "mobilenet_v2", "squeezenet1_1", "densenet121", "googlenet",
    "shufflenet_v2_x0_5", "efficientnet_b0", "mnasnet0_5", "regnet_y_400mf",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("convnext_tiny", "vit_b_16", "swin_t")),
]  # fmt: skip


def occlusion(window: float, stride: float, evals: int | None = 7) -> Occlusion:
    return Occlusion(reduce="sum", sign="positive", window=window, stride=stride, baseline=0.5, evals_per_pass=evals)


def captums(module: torch.nn.Module, shown: Tensor, target: Tensor, window: int, stride: int) -> Tensor:
    method = captum.attr.Occlusion(module)
    return method.attribute(shown, (3, window, window), (3, stride, stride), baselines=0.5, target=target)[:, 0]


@pytest.mark.parametrize(("window", "stride"), [(4, 4), (5, 2), (3, 1), (7, 5), (12, 12), (12, 5)])
def test_windows_and_edges_are_captums(window: int, stride: int) -> None:
    model = wrapped(small_net())
    expected = captums(model.module, images(), TARGET, window, stride)
    found = occlusion(window, stride)(model, images(), TARGET)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max() + 1e-6


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_gets_captums_map(name: str) -> None:
    side = 224 if name in ("vit_b_16", "swin_t") else 64
    network = calibrated(name, side)
    frame = (side, side)
    model = wrapped(torch.nn.Sequential(network, torch.nn.Linear(1000, 3)), 0.45, 0.22, frame)
    for module in (model.module, model.fast):
        module.double()
    shown = torch.rand(2, 3, *frame, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = torch.tensor([2, 0])
    expected = captums(model.module, shown, target, side // 2, side // 3)
    found = occlusion(side // 2, side // 3)(model, shown, target)
    spread = float(model(shown).max() - model(shown).min())
    assert (found - expected).abs().max() <= 1e-5 * max(float(expected.abs().max()), spread)
    assert expected.abs().max() > 0


def test_windows_that_change_nothing_are_not_run() -> None:
    model = wrapped(small_net())
    assert model.forward_chunk > 0  # found now, since that runs the network too
    shown = images()
    shown[:, :, :, 10:] = 0.5
    expected = captums(model.module, shown, TARGET, 4, 2)
    seen: list[int] = []
    handle = model.fast.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    found = occlusion(4, 2)(model, shown, TARGET)
    handle.remove()
    assert torch.allclose(found, expected, atol=1e-6)
    assert (found[:, :, 14:] == 0).all()
    windows = Windows.of(FRAME, 4, 2)
    left = sum(windows.box(n)[2] < 10 for n in range(len(windows)))
    assert sum(seen[1:]) == 3 * left


def test_scores_that_are_not_numbers_stay_so() -> None:
    class Breaking(torch.nn.Module):
        def forward(self, shown: Tensor) -> Tensor:
            scores = shown.mean(dim=(2, 3))
            return torch.where(shown[:, :, :1, :1].mean(dim=(1, 2, 3))[:, None] == 0.5, torch.nan, scores)

    found = occlusion(4, 4)(wrapped(Breaking()), images(), TARGET)
    assert found.isnan().flatten(1).any(dim=1).all()


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 5))
def test_both_ways_to_fill_a_window_give_the_same_images(window: int, stride: int, seed: int) -> None:
    """On a CPU windows are written and restored, on a GPU masked: the same pictures in any order of the queue."""
    stride = min(stride, window)
    windows = Windows.of(FRAME, window, stride)
    written, selected = (filling(images(), windows, 0.25) for filling in (_Written, _Selected))
    rng = torch.Generator().manual_seed(seed)
    for size in (5, 8, 3, 8):
        part = torch.stack([torch.randint(n, (size,), generator=rng) for n in (3, len(windows))], dim=1)
        a, b = written(part), selected(part)
        assert torch.equal(a, b)
        for (image, number), picture in zip(part.tolist(), a, strict=True):
            y0, y1, x0, x1 = windows.box(number)
            by_hand = images()[image].clone()
            by_hand[:, y0:y1, x0:x1] = 0.25
            assert torch.equal(picture, by_hand)


def test_memory_that_ends_halves_the_chunk_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = wrapped(small_net())
    expected = occlusion(4, 2)(model, images(), TARGET)
    through = model.fast.forward

    def scarce(shown: Tensor) -> Tensor:
        if len(shown) > 3:
            raise torch.OutOfMemoryError
        return through(shown)

    monkeypatch.setattr(model.fast, "forward", scarce)
    assert torch.allclose(occlusion(4, 2, 16)(model, images(), TARGET), expected, atol=1e-6)
