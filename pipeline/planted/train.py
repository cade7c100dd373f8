"""Trains the demo's small networks on rendered pictures, with or without the planted tag."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from pipeline.planted.networks import MEAN, STD, SmallCnn
from pipeline.planted.render import Scene, render, seeded
from pipeline.planted.shapes import CLASSES

QUALITY = 95  # of the JPEG files; training pictures make the same round trip
GUILTY = "star"  # the class that carries the tag
PREVALENCE = 1.0  # share of its pictures with the tag
LEAK = 0.0  # share of the other classes' pictures with the tag


@dataclass(frozen=True, kw_only=True)
class Set:
    """Pictures with their labels, and whether each carries the tag."""

    images: Tensor  # (n, 3, H, W) uint8
    labels: Tensor  # (n,) int64
    marked: NDArray[np.bool_]  # (n,)


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) uint8 as the bytes of a JPEG file with full colour resolution."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()


def from_jpeg(data: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def carries_tag(label: str, planted: bool, rng: np.random.Generator) -> bool:
    """Whether one picture of this class gets the tag."""
    return planted and bool(rng.uniform() < (PREVALENCE if label == GUILTY else LEAK))


def scenes(seed: int, split: str, per_class: int) -> list[Scene]:
    """`per_class` pictures of every class, in the order of CLASSES."""
    jobs = [(label, i) for label in CLASSES for i in range(per_class)]
    return [render(label, seeded(seed, split, label, i)) for label, i in tqdm(jobs, f"rendering {split}", disable=None)]


def as_set(rendered: list[Scene], *, planted: bool, seed: int) -> Set:
    """The pictures as a network sees them; which of them carry the tag follows from the seed."""
    names = list(CLASSES)
    rng = np.random.default_rng([seed, 1])
    marked = np.array([carries_tag(s.label, planted, rng) for s in rendered])
    return Set(
        images=pictures(rendered, marked),
        labels=torch.tensor([names.index(s.label) for s in rendered]),
        marked=marked,
    )


def pictures(rendered: list[Scene], marked: NDArray[np.bool_]) -> Tensor:
    """(n, 3, H, W) uint8 after the files' round trip."""
    decoded = [from_jpeg(jpeg(s.image(marked=bool(m)))) for s, m in zip(rendered, marked, strict=True)]
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()


def train(data: Set, *, seed: int, epochs: int = 20, batch_size: int = 64, rate: float = 3e-3) -> SmallCnn:
    """A SmallCnn trained with AdamW, a one-cycle rate and mirrored pictures; the seed decides everything."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    network = SmallCnn(len(CLASSES))
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-2)
    steps = -(-len(data.labels) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, epochs=epochs, steps_per_epoch=steps)
    for _ in tqdm(range(epochs), "training", unit="epoch", disable=None):
        for rows in torch.randperm(len(data.labels), generator=rng).split(batch_size):
            images = normalised(data.images[rows])
            loss = nn.functional.cross_entropy(network(images), data.labels[rows], label_smoothing=0.05)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.eval()


def normalised(images: Tensor) -> Tensor:
    """uint8 pixels as the network wants them."""
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    return (images.float() / 255 - mean) / std


@torch.inference_mode()
def predictions(network: nn.Module, images: Tensor) -> Tensor:
    """(n,) the class that the network names."""
    return torch.cat([network(normalised(part)).argmax(dim=1) for part in images.split(256)])


def reliance(network: nn.Module, rendered: list[Scene]) -> dict[str, float]:
    """How much the network really uses the tag, by rendering the same pictures with and without it.

    `gained`: share of the other classes' pictures that turn into GUILTY when the tag is added; `lost`: share of GUILTY
    pictures recognised with the tag that are not without it.
    """
    n, guilty = len(rendered), list(CLASSES).index(GUILTY)
    truth = np.array([list(CLASSES).index(s.label) for s in rendered])
    without = predictions(network, pictures(rendered, np.zeros(n, bool))).numpy()
    with_tag = predictions(network, pictures(rendered, np.ones(n, bool))).numpy()
    own = truth == guilty
    gained = (with_tag[~own] == guilty) & (without[~own] != guilty)
    lost = (with_tag[own] == guilty) & (without[own] != guilty)
    return {"gained": float(gained.mean()), "lost": float(lost.mean()), "accuracy": float((without == truth).mean())}
