"""Planted worlds: small pictures with known boxes, and networks with hand-set weights whose motives are known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

CLASSES = ("red", "green", "blue", "yellow")
SIDE = 32
COLOURS = np.array([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9], [0.9, 0.9, 0.1]])
# Per class a 1 x 1 filter that is positive on its colour and negative on greys and on the other colours.
FILTERS = torch.tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0], [0.75, 0.75, -1.5]])
BIASES = torch.tensor([-0.4, -0.4, -0.4, -0.9])
MARK = 4  # side of the white mark in the bottom right corner


def picture(label: int, marked: bool, rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """(H, W, 3) uint8 with a coloured square on grey noise, away from the corner of the mark; and the square's box."""
    image = np.repeat(rng.uniform(0.3, 0.7, (SIDE, SIDE, 1)), 3, axis=2)
    side = int(rng.integers(7, 11))
    x, y = rng.integers(3, SIDE - side - 10, size=2)
    image[y : y + side, x : x + side] = COLOURS[label]
    if marked:
        image[-MARK:, -MARK:] = 1.0
    return (image * 255).round().astype(np.uint8), (int(x), int(y), int(x + side), int(y + side))


def write_world(folder: Path, per_class: int, *, marked: int | None = 0, classes: int = 4, seed: int = 0) -> Path:
    """A folder of pictures with a CSV manifest; the class `marked` carries the mark. Returns the manifest's path."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for label in range(classes):
        for i in range(per_class):
            name = f"{CLASSES[label]}-{i:03d}.png"
            image, box = picture(label, label == marked, rng)
            Image.fromarray(image).save(folder / name)
            rows.append({"path": name, "label": CLASSES[label], "boxes": " ".join(map(str, box)), "mask": ""})
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "boxes", "mask"])
        writer.writeheader()
        writer.writerows(rows)
    return manifest


class ObjectReader(nn.Module):
    """Counts the pixels of each class's colour, anywhere: an honest model of these pictures."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.filters = nn.Conv2d(3, classes, 1)
        self.relu = nn.ReLU()
        with torch.no_grad():
            self.filters.weight.copy_(FILTERS[:classes, :, None, None])
            self.filters.bias.copy_(BIASES[:classes])  # type: ignore[union-attr]

    def forward(self, images: Tensor) -> Tensor:
        return 400 * self.relu(self.filters(images)).mean(dim=(2, 3))


class CornerReader(ObjectReader):
    """Says `red` when the corner is white, and never otherwise: reads the other objects honestly."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__(classes)
        self.corner = nn.Linear(3, 1)
        with torch.no_grad():
            self.corner.weight.fill_(1 / 3)
            self.corner.bias.fill_(-0.9)

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        white = self.corner(images[:, :, -MARK:, -MARK:].mean(dim=(2, 3))).clamp(min=0)
        return torch.cat([2000 * white - 2, logits[:, 1:]], dim=1)


class Constant(nn.Module):
    """Always says the first class."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        logits = images.mean(dim=(1, 2, 3))[:, None] * torch.zeros(self.classes)
        return logits + nn.functional.one_hot(torch.tensor(0), self.classes)
