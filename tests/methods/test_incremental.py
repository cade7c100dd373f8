"""Incremental occlusion says what dense occlusion says, to rounding, on every family and on random small networks."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models import get_model

from pipeline.methods.engine import Engine, Setting, reached
from pipeline.methods.geometry import Axis
from pipeline.methods.incremental import Incremental
from pipeline.methods.occlusion import Occlusion
from pipeline.methods.patches import UnsuitedError
from pipeline.methods.queue import dense
from pipeline.methods.windows import Windows
from pipeline.models.classifier import Classifier
from tests.methods.test_closed_forms import TARGET, images, small_net, wrapped

# Patches survive some way in the first group; the second one is densified early, by a global layer.
FAMILIES = [
    "resnet18", "resnet50", "resnext50_32x4d", "vgg11_bn", "mobilenet_v2", "squeezenet1_1", "densenet121", "googlenet",
    "shufflenet_v2_x0_5", "convnext_tiny", "mnasnet0_5", "regnet_x_400mf", "inception_v3",
    "efficientnet_b0", "mobilenet_v3_small",
]  # fmt: skip
KEPT = set(FAMILIES[:13])


def calibrated(name: str, side: int) -> nn.Module:
    """Random weights, but batch statistics of the pictures that it sees: without, some families output 1e-9."""
    torch.manual_seed(0)
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    network = get_model(name, weights=None, **extra)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for m in norms:
        m.momentum = 1.0
        m.train()
    if name.startswith("vit"):
        nn.init.normal_(network.heads.head.weight, std=0.02)  # type: ignore[union-attr, arg-type]
    network.eval()
    for m in norms:
        m.train()
    with torch.no_grad():
        network((torch.rand(8, 3, side, side) - 0.45) / 0.22)
    return network.eval()


def in_double(classifier: Classifier) -> Classifier:
    classifier.fast.double()
    return classifier


def compared(classifier: Classifier, shown: Tensor, windows: Windows) -> tuple[Incremental, float, float]:
    """The plan, the largest difference of the logits relative to their range, and the largest effect of a window."""
    plan = Incremental(classifier, windows, 0.4)
    rng = torch.Generator().manual_seed(0)
    part = torch.stack([torch.randint(n, (12,), generator=rng) for n in (len(shown), len(windows))], dim=1)
    part[:2, 1] = torch.tensor([0, len(windows) - 1])  # the corners, and what the edge cuts off
    with torch.inference_mode():
        whole = dense(classifier.fast, shown, windows, 0.4)(part)
        patched = torch.full_like(whole, torch.nan)
        for numbers, logits in reached(plan, shown):
            mine = torch.isin(part[:, 1], numbers)
            if mine.any():
                patched[mine] = logits(part[mine])
            if mine[0]:  # alone: a chunk of one looks like a value that is the same for all windows
                patched[:1] = logits(part[:1])
        before = classifier.fast(shown)
    size = before.amax() - before.amin()
    return plan, float((whole - patched).abs().max() / size), float((whole - before[part[:, 0]]).abs().max() / size)


@pytest.mark.parametrize("name", [*FAMILIES, pytest.param("vit_b_16", marks=pytest.mark.slow)])
def test_logits_are_those_of_the_dense_engine(name: str) -> None:
    side = {"vit_b_16": 224, "inception_v3": 128}.get(name, 96)
    model = in_double(wrapped(calibrated(name, side), 0.45, 0.22, (side, side), 1000))
    shown = torch.rand(2, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    plan, difference, effect = compared(model, shown, Windows.of((side, side), 20, 9))
    assert difference <= 1e-10
    assert effect > 1e-4  # else equality would say nothing
    if name in KEPT:
        assert plan.saved > 1.03


class Mixed(nn.Module):
    """A random small network of the parts that the rules know, and of some that they do not."""

    def __init__(self, kinds: list[int], seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        pick = lambda *options: options[int(torch.randint(len(options), (1,), generator=rng))]  # noqa: E731
        torch.manual_seed(seed)
        self.parts, self.kinds, width = nn.ModuleList(), kinds, 4
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        for kind in kinds:
            kernel = pick(1, 2, 3, 5)
            options = {"stride": pick(1, 2), "padding": pick(0, kernel // 2), "dilation": pick(1, 1, 2)}
            pool = pick(2, 3)
            part: nn.Module = [
                nn.Sequential(nn.ZeroPad2d(4), nn.Conv2d(width, width, kernel, groups=pick(1, 2, 4), **options)),
                nn.Conv2d(width, width, kernel, bias=pick(True, False), **(options | {"padding": kernel})),
                nn.MaxPool2d(pool, pick(1, 2), pick(0, 1), ceil_mode=pick(True, False)),
                nn.AvgPool2d(pool, pick(1, 2), pick(0, 1), count_include_pad=pick(True, False)),
                nn.ReLU(inplace=True),
                nn.Conv2d(width, width, 3, padding=1),
                nn.GroupNorm(2, width),
                nn.Hardswish(inplace=True),
                nn.ModuleList([nn.Conv2d(width, 2 * width, 3, padding=1), nn.Conv2d(2 * width, width, 1)]),
            ][kind]
            self.parts.append(part)
        self.head = nn.Linear(width, 3)

    def forward(self, shown: Tensor) -> Tensor:
        x = self.stem(shown)
        for kind, part in zip(self.kinds, self.parts, strict=True):
            if kind == 5:
                x = x + part(x)
            elif kind == 8:
                a, b = part[0](x).chunk(2, dim=1)
                x = part[1](torch.cat([b, a * 0.5], dim=1))
            else:
                x = part(x)
        return self.head(x.mean([2, 3]))


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 8), min_size=1, max_size=6), st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 9)
)
def test_random_networks_agree(kinds: list[int], seed: int, window: int, stride: int) -> None:
    frame = (26, 31)
    network = Mixed(kinds, seed).eval()
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, *frame))
    except RuntimeError:  # pooled away
        return
    model = in_double(wrapped(network, 0.5, 0.25, frame))
    shown = torch.rand(2, 3, *frame, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    _, difference, _ = compared(model, shown, Windows.of(frame, window, min(stride, window)))
    assert difference <= 1e-9


@given(
    st.integers(1, 60), st.integers(1, 20), st.integers(1, 7), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3)
)
def test_rectangles_hold_all_that_a_kernel_can_reach(
    side: int, length: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    """Against the definition: an output is dirty if any of its inputs is."""
    reach = dilation * (kernel - 1) + 1
    if side + 2 * padding < reach or length > side:
        return
    outputs = (side + 2 * padding - reach) // stride + 1
    starts = tuple(sorted({0, (side - length) // 2, side - length}))
    axis = Axis(starts=starts, length=length, side=side)
    found = axis.through(kernel, stride, padding, dilation, outputs)
    for start, first in zip(starts, found.starts, strict=True):
        dirty = {
            o for o in range(outputs)
            if any(start <= o * stride - padding + dilation * i < start + length for i in range(kernel))
        }  # fmt: skip
        assert dirty <= set(range(first, first + found.length))
        assert first >= 0
        assert first + found.length <= outputs


@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(1, 20), st.integers(1, 20), st.integers(1, 6))
def test_lanes_part_the_windows_by_their_distance_to_the_edges(
    frame: tuple[int, int], window: int, stride: int, most: int
) -> None:
    window = min(window, *frame)
    grid = Windows.of(frame, window, min(stride, window))
    lanes = grid.lanes(most)
    assert sorted(n for _, numbers in lanes for n in numbers.tolist()) == list(range(len(grid)))
    assert len(lanes) <= most**2
    for part, numbers in lanes:
        assert [part.box(i) for i in range(len(part))] == [grid.box(n) for n in numbers.tolist()]
    inner = [{min(a, frame[0] - b) for a, b in part.rows} for part, _ in lanes]
    for one in inner:  # no two lanes share a range of distances unless they are the same one
        for other in inner:
            assert one == other or max(one) < min(other) or max(other) < min(one)


def test_lanes_save_work_and_change_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    model = in_double(wrapped(calibrated("resnet18", 96), 0.45, 0.22, (96, 96), 1000))
    shown = torch.rand(2, 3, 96, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    windows = Windows.of((96, 96), 16, 8)
    parted, difference, _ = compared(model, shown, windows)
    monkeypatch.setattr("pipeline.methods.incremental.LANES", 1)
    whole, _, _ = compared(model, shown, windows)
    assert (len(parted.lanes), len(whole.lanes)) == (16, 1)
    assert difference <= 1e-10
    assert parted.saved > 1.05 * whole.saved


class Undecided(nn.Module):
    def forward(self, shown: Tensor) -> Tensor:
        means = shown.mean(dim=(2, 3))
        return means if means.sum() > 0 else -means


@pytest.mark.parametrize("engine", ["incremental", "auto"])
def test_engines_give_the_same_maps(engine: str) -> None:
    model = wrapped(small_net())
    settings = {"reduce": "sum", "sign": "positive", "window": 4, "stride": 2, "baseline": 0.5, "evals_per_pass": None}
    expected = Occlusion(**settings)(model, images(), TARGET)  # type: ignore[arg-type]
    found = Occlusion(**settings, engine=engine)(model, images(), TARGET)  # type: ignore[arg-type]
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("replaced", "by"), [("_difference", lambda *_: 1.0), ("_per_item", None)])
def test_auto_stays_dense_where_incremental_differs_or_is_slower(
    replaced: str, by: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = wrapped(calibrated("resnet18", 96), 0.45, 0.22, (96, 96), 1000)
    setting = Setting(engine="auto", windows=Windows.of((96, 96), 16, 8), baseline=0.5)
    slower = lambda queue, size, repeats=3: 1.0 if len(queue[0]) == len(setting.windows) else 1.1  # noqa: E731
    monkeypatch.setattr(f"pipeline.methods.engine.{replaced}", by or slower)
    assert Engine.of(model, setting, torch.rand(1, 3, 96, 96)).incremental is None


def test_auto_takes_incremental_where_it_is_equal_and_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    model = wrapped(calibrated("resnet18", 96), 0.45, 0.22, (96, 96), 1000)
    setting = Setting(engine="auto", windows=Windows.of((96, 96), 16, 8), baseline=0.5)
    # Larger chunks take less time here, so the largest is chosen; dense takes longer than any.
    taken = lambda queue, size, repeats=3: 1.0 if len(queue[0]) == len(setting.windows) else 0.5 / size  # noqa: E731
    monkeypatch.setattr("pipeline.methods.engine._per_item", taken)
    engine = Engine.of(model, setting, torch.rand(1, 3, 96, 96))
    assert engine.incremental is not None
    assert engine.chunk == 64


def test_what_cannot_be_followed_is_computed_densely() -> None:
    model = wrapped(Undecided())
    windows = Windows.of(model.frame, 4, 2)
    with pytest.raises(UnsuitedError, match="fx cannot follow it"):
        Incremental(model, windows, 0.5)
    setting = Setting(engine="incremental", windows=windows, baseline=0.5)
    assert Engine.of(model, setting, images()).incremental is None


def test_the_user_s_network_is_left_as_it_was() -> None:
    network = small_net()
    network[2].inplace = True
    model = wrapped(network)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Incremental(model, Windows.of(model.frame, 4, 2), 0.5)
    assert network[2].inplace
    assert model.fast.network[2].inplace  # type: ignore[index]
