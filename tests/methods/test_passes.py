"""Shared passes: one forward and backward gives every method what it would have had alone, in any pieces."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.methods import one_pass as shared
from pipeline.methods.gradients import InputXGradient, IntegratedGradients, Saliency, SmoothGrad
from pipeline.methods.layers import GradCam
from pipeline.methods.paths import mean_gradients
from tests.methods.test_closed_forms import TARGET, images, small_net, wrapped

READERS = {
    "saliency": Saliency(reduce="max_abs", sign="absolute"),
    "input_x_gradient": InputXGradient(reduce="sum", sign="absolute"),
    "grad_cam": GradCam(reduce="sum", sign="positive", layer=None),
}


def test_methods_that_share_a_pass_say_what_they_say_alone() -> None:
    model = wrapped(small_net())
    layers = [layer for m in READERS.values() for layer in m.layers(model)]
    seen = shared.one_pass(model, images(), lambda logits, part: TARGET[part], layers)
    assert torch.allclose(seen.logits, model.module(images()), atol=1e-5)
    for method in READERS.values():
        assert torch.allclose(method.read(seen, model), method(model, images(), TARGET), atol=1e-7)


def test_the_target_may_be_chosen_from_the_logits() -> None:
    model = wrapped(small_net())
    seen = shared.one_pass(model, images(), lambda logits, part: logits.argmax(dim=1), [])
    assert torch.equal(seen.target, model(images()).argmax(dim=1))


@pytest.mark.parametrize("limit", [1, 2])
def test_memory_that_ends_loses_nothing(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces are halved until they fit, and every image is explained once."""
    model = wrapped(small_net())
    expected = {name: m(model, images(), TARGET) for name, m in READERS.items()}
    ig = IntegratedGradients(reduce="sum", sign="positive", steps=6, baseline=0.5, evals_per_pass=12)
    paths = ig(model, images(), TARGET)
    through = model.fast.forward

    def scarce(shown: Tensor) -> Tensor:
        if len(shown) > limit:
            raise torch.OutOfMemoryError
        return through(shown)

    monkeypatch.setattr(model.fast, "forward", scarce)
    monkeypatch.setitem(vars(model), "backward_chunk", 4)
    for name, method in READERS.items():
        assert torch.allclose(method(model, images(), TARGET), expected[name], atol=1e-6)
    assert torch.allclose(ig(model, images(), TARGET), paths, atol=1e-6)
    monkeypatch.setattr(model.fast, "forward", lambda shown: scarce(shown.repeat(9, 1, 1, 1)))
    with pytest.raises(torch.OutOfMemoryError):
        READERS["saliency"](model, images(), TARGET)


@pytest.mark.parametrize("chunk", [1, 2, 5, 7, 100])
def test_sums_over_steps_do_not_depend_on_the_pieces(chunk: int) -> None:
    model = wrapped(small_net())
    noise = torch.randn((7, 3, 12, 20), generator=torch.Generator().manual_seed(3))
    weights = torch.linspace(0.1, 1, 7)

    def noisy(part: Tensor, steps: Tensor) -> Tensor:
        return part + noise[steps][:, None]

    mean, square = mean_gradients(model, images(), TARGET, noisy, weights, chunk=chunk, squares=True)
    assert square is not None
    for i in range(3):
        gradients = []
        for n in noise:
            shown = (images()[i : i + 1] + n).requires_grad_()
            gradients.append(torch.autograd.grad(model.module(shown)[0, TARGET[i]], shown)[0][0])
        each = torch.stack(gradients)
        by_hand = (weights[:, None, None, None] * each).sum(dim=0), (weights[:, None, None, None] * each**2).sum(dim=0)
        assert torch.allclose(mean[i], by_hand[0], atol=1e-5)
        assert torch.allclose(square[i], by_hand[1], atol=1e-5)


@pytest.mark.parametrize("kind", ["mean", "square", "variance"])
def test_noisy_maps_are_those_of_each_image_alone(kind: str) -> None:
    model = wrapped(small_net())
    sign = "absolute"
    method = SmoothGrad(reduce="sum", sign=sign, kind=kind, samples=5, spread=0.1, seed=0, evals_per_pass=4)  # type: ignore[arg-type]
    together = method(model, images(), TARGET)
    alone = torch.cat([method(model, images()[i : i + 1], TARGET[i : i + 1]) for i in (2, 0, 1)])
    assert torch.allclose(together, alone[[1, 2, 0]], atol=1e-6)
