"""Lower precision: off by default, near enough, and its error measured against float32 on one window in a hundred."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pipeline.methods.engine import Engine, recheck
from pipeline.methods.occlusion import Occlusion
from pipeline.methods.windows import Windows
from pipeline.types import Classifier
from tests.methods.test_closed_forms import FRAME, TARGET, images, wrapped

FULL = Occlusion(reduce="sum", sign="positive", window=4, stride=1, baseline=0.5, evals_per_pass=16)


def errors_of(method: Occlusion, model: Classifier) -> Tensor:
    """Of the windows that were run again."""
    setting = method._setting(Windows.of(model.frame, *method.pixels(model.frame)))
    return torch.cat(Engine.known(model, setting).errors)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_the_map_is_near_and_the_error_is_known(precision: str) -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 16, 3, bias=False), nn.ReLU(), nn.Conv2d(16, 16, 3, bias=False), nn.ReLU())
    # No bias and few pixels, so that a window makes a difference that bfloat16's eight bits can show.
    model = wrapped(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3, bias=False)))
    shown = images() * torch.linspace(0, 1, FRAME[1])
    target = TARGET
    exact = FULL(model, shown, target)
    low = replace(FULL, precision=precision)
    assert FULL.remark(model) == low.remark(model) == ""
    found = low(model, shown, target)
    assert not torch.equal(found, exact)
    assert (found - exact).abs().max() < 0.2 * exact.abs().max()
    errors = errors_of(low, model)
    windows = low.passes(model.frame) - 1
    assert len(errors) == len(range(50, len(shown) * windows, 100))
    assert 0 < errors.max() < 0.2
    assert low.remark(model).startswith(
        f"{precision}: {len(errors)} windows were run again plainly in float32; the median"
    )
    assert FULL.remark(model) == ""


def test_errors_are_shares_of_the_images_largest_drop() -> None:
    found = torch.tensor([[1.0, 3.0], [5.0, 5.0]]).repeat(1, 50)  # the second image: no window changes it
    exact = torch.tensor([[1.5, 3.0], [5.0, 5.0]]).repeat(1, 50)
    unhidden, target = torch.tensor([5.0, 5.0]), torch.tensor([0, 0])

    def logits(part: Tensor) -> Tensor:
        return exact[part[:, 0], part[:, 1]][:, None]

    # Windows 50 of the first image and 50 of the second are run again; the latter says nothing.
    assert recheck(found, target, unhidden, logits, 7).tolist() == [0.5 / 4]


def test_incremental_is_float32_alone() -> None:
    with pytest.raises(ValueError, match="needs `engine` dense, got 'auto'"):
        replace(FULL, precision="bfloat16", engine="auto")
    with pytest.raises(ValueError, match="`precision` must be one of float32"):
        replace(FULL, precision="float8")


def test_two_occlusions_of_one_precision_have_errors_of_their_own() -> None:
    model = wrapped(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    )
    fine = replace(FULL, precision="bfloat16")
    coarse = replace(fine, window=8, stride=8)
    shown = images()
    fine(model, shown, TARGET)
    assert fine.remark(model) != ""
    assert coarse.remark(model) == ""


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_is_the_same_and_made_once() -> None:
    torch.manual_seed(0)
    model = wrapped(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    )
    shown = images()
    exact = FULL(model, shown, TARGET)
    method = replace(FULL, compile=True, evals_per_pass=7)  # the last pass is not full
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's own
        found = method(model, shown, TARGET)
        method(model, shown[:1], TARGET[:1])
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert torch.allclose(found, exact, atol=1e-5 * float(exact.abs().max()))
    assert method.remark(model).startswith("float32, compiled: ")
    assert float(errors_of(method, model).max()) < 1e-4


def test_a_network_that_does_not_compile_is_said_so() -> None:
    class Odd(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean(dim=(2, 3))

    model = wrapped(Odd())

    def broken(*_: object, **__: object) -> object:
        def run(*_: object) -> None:
            raise NotImplementedError("no compiler found\nand more")

        return run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", broken)
        with pytest.raises(RuntimeError, match=r"no compiler found\); give methods.occlusion.compile=false"):
            replace(FULL, compile=True)(model, images(), TARGET)
    with pytest.raises(ValueError, match="`compile` needs `engine` dense"):
        replace(FULL, compile=True, engine="incremental")
