"""How far every method is from the floor, the bare network's own time for as many passes; ratios, never assertions.

    python tests/benchmarks/speed.py --models resnet18 resnet50 --side 224

Variants are checked equal, then run in turns; process CPU time on one thread (CUDA: events), medians over rounds. The
floor is the network with batch norm folded, channels last, at its fastest number of images at once.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
import warnings
from collections.abc import Callable

import captum.attr
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from pipeline.core.allocator import keep_freed_memory
from pipeline.methods.engine import Engine, Setting
from pipeline.methods.gradients import InputXGradient, IntegratedGradients, Saliency
from pipeline.methods.layers import GradCam
from pipeline.methods.one_pass import one_pass
from pipeline.methods.windows import Windows
from pipeline.models.classifier import Classifier, classifier
from pipeline.models.preprocessing import Preprocessing

BASELINE = 0.5
Variants = dict[str, Callable[[], object]]


def calibrated(name: str, side: int, device: torch.device) -> Classifier:
    """Random weights with batch statistics of what it sees; the time does not depend on the weights."""
    torch.manual_seed(0)
    network = get_model(name, weights=None)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    network.eval()
    for m in norms:
        m.momentum = 1.0
        m.train()
    with torch.no_grad():
        network((torch.rand(4, 3, side, side) - 0.45) / 0.22)
    pixels = Preprocessing(resize=(side, side), crop=None, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    return classifier(network.eval(), [str(i) for i in range(1000)], pixels, device)


def taken(work: Callable[[], object], device: torch.device) -> float:
    """Seconds: of the process on one thread, or between events on the device."""
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end)) / 1000
    before = time.process_time()
    work()
    return time.process_time() - before


def in_turns(variants: Variants, rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Every variant once to warm up, then in turns."""
    for work in variants.values():
        work()
    found: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, work in variants.items():
            found[name].append(taken(work, device))
    return found


def print_ratios(title: str, found: dict[str, list[float]], floor: str) -> None:
    """The floor's time over each variant's: 1 is the floor, 2 twice as fast; with the range over the rounds."""
    print(f"\n{title}: floor {1000 * statistics.median(found[floor]):.0f} ms")
    for name, seconds in found.items():
        ratios = [f / s for f, s in zip(found[floor], seconds, strict=True)]
        print(f"  {name:<44} {statistics.median(ratios):5.2f}  [{min(ratios):.2f}, {max(ratios):.2f}]")


def occlusion(name: str, model: Classifier, images: Tensor, window: int, stride: int, rounds: int) -> None:
    """Every way to the drops of all windows of the images."""
    windows, device = Windows.of(model.frame, window, stride), model.device
    with torch.inference_mode():
        logits = model(images)
        target = logits.argmax(dim=1)
        unhidden = logits.amax(dim=1)
    count = len(images) * len(windows)

    def ours(engine: str) -> Callable[[], Tensor]:
        found = Engine.of(model, Setting(engine=engine, windows=windows, baseline=BASELINE), images)
        return lambda: found(images, target, unhidden, None)

    @torch.inference_mode()
    def floor() -> None:
        batch = images[:1].expand(model.forward_chunk, -1, -1, -1).contiguous(memory_format=torch.channels_last)
        for start in range(0, count, model.forward_chunk):
            model.fast(batch[: count - start])

    ways = {f"ours, {engine}": ours(engine) for engine in ("dense", "incremental")}
    a, b = (way() for way in ways.values())
    difference = float((a - b).abs().amax() / (a.amax() - a.amin()))
    print(f"{name}: dense and incremental logits differ by at most {difference:.1e} of their range")
    found = in_turns({"floor": floor, **ways}, rounds, device)
    per_pass = statistics.median(found["floor"]) / count
    print_ratios(f"{name}, {len(images)} images, {len(windows)} windows {window}/{stride}", found, "floor")
    with torch.no_grad():
        captums(model, images[:1], target[:1], windows, window, stride, per_pass)


def captums(
    model: Classifier, image: Tensor, target: Tensor, windows: Windows, window: int, stride: int, per_pass: float
) -> None:
    """Captum on one whole image: as tutorials call it, and at its best."""
    shape, steps = (3, window, window), (3, stride, stride)
    plain = captum.attr.Occlusion(model.module)
    last = captum.attr.Occlusion(model.module.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    ways = {"Captum, as tutorials call it": (plain, 1)}
    ways |= {f"Captum, channels last, {n} at once": (last, n) for n in (8, 16)}
    for name, (method, at_once) in ways.items():
        run = lambda m=method, n=at_once: m.attribute(  # noqa: E731
            image, shape, steps, baselines=BASELINE, target=target, perturbations_per_eval=n
        )
        print(f"  {name:<44} {per_pass * len(windows) / taken(run, model.device):5.2f}")


def gradients(name: str, model: Classifier, images: Tensor, rounds: int) -> None:
    """Saliency, InputXGradient and Grad-CAM from one pass, and integrated gradients, against bare passes."""
    target = model(images).argmax(dim=1).clone()  # autograd refuses tensors of the inference mode
    readers = (
        Saliency(reduce="max_abs", sign="absolute"),
        InputXGradient(reduce="sum", sign="absolute"),
        GradCam(reduce="sum", sign="positive", layer=None),
    )
    layers = [layer for m in readers for layer in m.layers(model)]
    paths = IntegratedGradients(reduce="sum", sign="positive", steps=8, baseline=BASELINE, evals_per_pass=None)

    def bare(times: int) -> None:
        for part in images.repeat(times, 1, 1, 1).split(model.backward_chunk):
            shown = part.contiguous(memory_format=torch.channels_last).clone().requires_grad_()
            torch.autograd.grad(model.fast(shown).amax(dim=1).sum(), shown)

    def together() -> None:
        seen = one_pass(model, images, lambda logits, part: target[part], layers)
        for method in readers:
            method.read(seen, model)

    def by_captum() -> None:
        layer = {layer: n for n, layer in model.fast.named_modules()}[model.layer(None)]
        model.module(images)
        captum.attr.Saliency(model.module).attribute(images.clone().requires_grad_(), target=target)
        captum.attr.InputXGradient(model.module).attribute(images.clone().requires_grad_(), target=target)
        captum.attr.LayerGradCam(model.module, model.module.get_submodule(layer)).attribute(images, target=target)

    variants: Variants = {
        "floor": lambda: bare(1),
        "ours: logits and three methods, one pass": together,
        "Captum: the same, one call each": by_captum,
    }
    print_ratios(f"{name}, {len(images)} images, gradients", in_turns(variants, rounds, model.device), "floor")
    variants = {"floor": lambda: bare(8), "ours: integrated gradients, 8 steps": lambda: paths(model, images, target)}
    print_ratios(f"{name}, {len(images)} images, paths", in_turns(variants, rounds, model.device), "floor")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["resnet18", "resnet50", "mobilenet_v2", "squeezenet1_1"])
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--window", type=int, default=32)
    parser.add_argument("--stride", type=int, default=16)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", default=["occlusion", "gradients"], choices=["occlusion", "gradients"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    keep_freed_memory()
    device = torch.device(given.device)
    print(f"{platform.processor() or platform.machine()}, {device}, torch {torch.__version__}, one thread")
    for name in given.models:
        model = calibrated(name, given.side, device)
        images = torch.rand(given.images, 3, given.side, given.side).to(device)
        if "occlusion" in given.parts:
            occlusion(name, model, images, given.window, given.stride, given.rounds)
        if "gradients" in given.parts:
            gradients(name, model, images, given.rounds)


if __name__ == "__main__":
    main()
