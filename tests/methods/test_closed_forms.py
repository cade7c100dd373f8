"""Attribution methods against closed forms, against Captum called image by image, and their manners."""

from __future__ import annotations

import captum.attr
import pytest
import torch
import yaml
from hydra.utils import instantiate
from torch import Tensor, nn

from pipeline.config import packaged
from pipeline.core.maps import resize
from pipeline.methods.gradients import InputXGradient, IntegratedGradients, Saliency
from pipeline.methods.layers import GradCam
from pipeline.methods.occlusion import Occlusion
from pipeline.methods.probe import probe
from pipeline.models.classifier import Classifier, classifier
from pipeline.models.preprocessing import Preprocessing
from pipeline.types import Method

FRAME = (12, 20)
YAMLS = sorted((packaged("conf") / "methods").glob("*.yaml"))


class Linear(nn.Module):
    """logit_k = sum of w_k x + k."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3, *FRAME, generator=torch.Generator().manual_seed(0)))

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("bchw,kchw->bk", images, self.weight) + torch.arange(3)


def small_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip


def wrapped(
    network: nn.Module, mean: float = 0.0, std: float = 1.0, frame: tuple[int, int] = FRAME, outputs: int = 3
) -> Classifier:
    pixels = Preprocessing(resize=list(frame), crop=None, mean=[mean] * 3, std=[std] * 3)
    return classifier(network, [chr(ord("a") + i) for i in range(outputs)], pixels, torch.device("cpu"))


def images(n: int = 3) -> Tensor:
    return torch.rand(n, 3, *FRAME, generator=torch.Generator().manual_seed(1))


def from_yaml(path: str) -> Method:
    return instantiate(yaml.safe_load((packaged("conf") / "methods" / f"{path}.yaml").read_text()))


TARGET = torch.tensor([0, 2, 1])


def test_saliency_of_a_linear_model_is_its_weights() -> None:
    network = Linear()
    maps = Saliency(reduce="max_abs", sign="absolute")(wrapped(network), images(), TARGET)
    assert torch.allclose(maps, network.weight[TARGET].abs().amax(dim=1), atol=1e-6)


def test_normalisation_inside_the_classifier_scales_the_gradient() -> None:
    network = Linear()
    maps = Saliency(reduce="sum", sign="absolute")(wrapped(network, 0.5, 0.25), images(), TARGET)
    assert torch.allclose(maps, network.weight[TARGET].sum(dim=1) / 0.25, atol=1e-4)


def test_input_x_gradient_of_a_linear_model_is_what_each_pixel_adds() -> None:
    network = Linear()
    maps = InputXGradient(reduce="sum", sign="absolute")(wrapped(network), images(), TARGET)
    assert torch.allclose(maps, (network.weight[TARGET] * images()).sum(dim=1), atol=1e-5)


@pytest.mark.parametrize("baseline", [0.0, 0.5])
def test_integrated_gradients_of_a_linear_model_are_exact_and_complete(baseline: float) -> None:
    network = Linear()
    method = IntegratedGradients(reduce="sum", sign="positive", steps=4, baseline=baseline, evals_per_pass=5)
    maps = method(wrapped(network), images(), TARGET)
    assert torch.allclose(maps, (network.weight[TARGET] * (images() - baseline)).sum(dim=1), atol=1e-4)
    assert method.residual(wrapped(network), images(), TARGET).max() < 1e-3


def test_occlusion_of_a_linear_model_is_the_sum_under_its_windows() -> None:
    """Windows of 4 with stride 4 do not overlap: every pixel has its window's drop."""
    network = Linear()
    method = Occlusion(reduce="sum", sign="positive", window=4, stride=4, baseline=0.5, evals_per_pass=7)
    maps = method(wrapped(network), images(), TARGET)
    drop = (network.weight[TARGET] * (images() - 0.5)).sum(dim=1)
    blocks = drop.reshape(3, FRAME[0] // 4, 4, FRAME[1] // 4, 4).sum(dim=(2, 4))
    assert torch.allclose(maps, blocks.repeat_interleave(4, 1).repeat_interleave(4, 2), atol=1e-4)


def _tutorial(name: str, model: Classifier) -> Tensor:
    """Captum the way tutorials call it, one image at a time."""
    rows = []
    for image, target in zip(images(), TARGET.tolist(), strict=True):
        x = image[None].requires_grad_()
        if name == "saliency":
            a = captum.attr.Saliency(model.module).attribute(x, target=target).amax(dim=1)
        elif name == "input_x_gradient":
            a = captum.attr.InputXGradient(model.module).attribute(x, target=target).sum(dim=1)
        elif name == "integrated_gradients":
            method = captum.attr.IntegratedGradients(model.module)
            a = method.attribute(x, baselines=torch.full_like(x, 0.5), target=target, n_steps=32).sum(dim=1)
        elif name == "grad_cam":
            name_of = {layer: name for name, layer in model.fast.named_modules()}
            method = captum.attr.LayerGradCam(model.module, model.module.get_submodule(name_of[model.layer(None)]))
            a = resize(method.attribute(x, target=target, relu_attributions=True)[:, 0], FRAME)
        elif name == "smooth_grad":
            noise = 0.15 * torch.randn((25, 3, *FRAME), generator=torch.Generator().manual_seed(0))
            method = captum.attr.Saliency(model.module)
            a = torch.stack([method.attribute(x + n, target=target, abs=False) for n in noise]).mean(dim=0).sum(dim=1)
        elif name in ("guided_backprop", "deconvolution"):
            hooked = {"guided_backprop": captum.attr.GuidedBackprop, "deconvolution": captum.attr.Deconvolution}[name]
            a = hooked(model.module).attribute(x, target=target).abs().amax(dim=1)
        elif name == "deep_lift":
            a = captum.attr.DeepLift(model.module).attribute(x, torch.full_like(x, 0.5), target=target).sum(dim=1)
        else:
            method = captum.attr.Occlusion(model.module)
            a = method.attribute(x, (3, 2, 2), (3, 1, 1), baselines=0.5, target=target)[:, 0]
        rows.append(a.detach())
    return torch.cat(rows)


@pytest.mark.filterwarnings("ignore:Setting")  # Captum announces its hooks
@pytest.mark.parametrize("name", [p.stem for p in YAMLS])
def test_batches_agree_with_captum_image_by_image(name: str) -> None:
    model = wrapped(small_net(), 0.5, 0.25)
    maps = from_yaml(name)(model, images(), TARGET)
    expected = _tutorial(name, model)
    assert maps.shape == (3, *FRAME)
    assert (maps - expected).abs().max() <= 1e-5 * expected.abs().max() + 1e-6  # float32 logits of about 1
    assert expected.abs().max() > 0


@pytest.mark.parametrize("name", [p.stem for p in YAMLS])
def test_everything_is_left_as_it_was_found(name: str) -> None:
    model = wrapped(small_net())
    given = images()
    from_yaml(name)(model, given, TARGET)
    assert torch.equal(given, images())
    assert given.grad is None
    assert not given.requires_grad
    assert not model.module.training
    assert all(
        not m._forward_hooks and not m._backward_hooks and not m._forward_pre_hooks for m in model.module.modules()
    )
    assert all(p.grad is None and not p.requires_grad for p in model.module.parameters())


@pytest.mark.parametrize("name", [p.stem for p in YAMLS])
def test_the_probe_accepts_every_method_on_a_plain_network(name: str) -> None:
    assert probe(from_yaml(name), wrapped(small_net()), images(), TARGET) == ""


class Constant(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.ones(len(images), 3) + 0 * images.sum()


class BatchNorming(nn.Module):
    """Its scores depend on the rest of the batch."""

    def forward(self, images: Tensor) -> Tensor:
        scores = images.pow(2).mean(dim=(2, 3))
        return scores / scores.sum(dim=0)


class Dicing(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return (images * torch.rand_like(images)).mean(dim=(2, 3))


class Bursting(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return (images - images.detach()).sqrt().mean(dim=(2, 3))


class Tokens(nn.Module):
    """A layer that gives tokens, as transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.embed(images.flatten(2).transpose(1, 2)).relu().mean(dim=1))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(self.conv(images)).mean(dim=(2, 3)) ** 2


SALIENCY = Saliency(reduce="max_abs", sign="absolute")


@pytest.mark.parametrize(
    ("network", "method", "reason"),
    [
        (Constant(), SALIENCY, "zero everywhere"),
        (BatchNorming(), SALIENCY, "depends on the other images"),
        (Dicing(), SALIENCY, "two calls on the same images"),
        (Bursting(), SALIENCY, "not finite"),
        (Tokens(), GradCam(reduce="sum", sign="positive", layer=None), "no layer that gives a feature map"),
        (Tokens(), GradCam(reduce="sum", sign="positive", layer="embed"), "not a feature map"),
        (Twice(), GradCam(reduce="sum", sign="positive", layer="conv"), "fails on this model|used 2 times"),
        (small_net(), GradCam(reduce="sum", sign="positive", layer="nope"), "'nope' is not in the network"),
    ],
)
def test_the_probe_refuses_what_would_lie(network: nn.Module, method: Method, reason: str) -> None:
    import re

    assert re.search(reason, probe(method, wrapped(network), images(), TARGET))


def test_the_probe_refuses_integrated_gradients_with_too_few_steps() -> None:
    class Steps(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return (20 * (images.mean(dim=(2, 3)) - 0.4)).sigmoid()

    coarse = IntegratedGradients(reduce="sum", sign="positive", steps=2, baseline=0.0, evals_per_pass=8)
    assert "give it more steps" in probe(coarse, wrapped(Steps()), images(), TARGET)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Saliency(reduce="mean", sign="absolute"), "`reduce` must be one of"),  # type: ignore[arg-type]
        (lambda: Saliency(reduce="l2", sign="positive"), "loses the sign"),
        (lambda: Saliency(reduce="sum", sign="signed"), "`sign` must be positive or absolute"),  # type: ignore[arg-type]
        (
            lambda: Occlusion(reduce="sum", sign="positive", window=4, stride=5, baseline=0.5, evals_per_pass=8),
            "`stride` must be above 0 and at most `window`",
        ),
        (
            lambda: Occlusion(reduce="sum", sign="positive", window=4, stride=2, baseline=128, evals_per_pass=8),
            "`baseline` is a pixel's level",
        ),
    ],
)
def test_wrong_settings_are_named(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()  # type: ignore[operator]


def test_window_and_stride_are_shares_below_one_and_pixels_from_one() -> None:
    def pixels(window: float, stride: float) -> tuple[int, int]:
        return Occlusion(
            reduce="sum", sign="positive", window=window, stride=stride, baseline=0.5, evals_per_pass=8
        ).pixels((100, 160))

    assert pixels(0.2, 0.1) == (20, 10)
    assert pixels(30, 7) == (30, 7)
    assert pixels(500, 200) == (100, 100)
