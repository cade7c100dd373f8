"""Small networks: the demo's, plain enough for every attribution method, and the benchmark's further kinds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

MEAN = (0.5, 0.5, 0.5)  # of the normalised input, x -> (x - mean) / std on RGB in [0, 1]
STD = (0.25, 0.25, 0.25)


class SmallCnn(nn.Module):
    """(B, 3, 64, 64) normalised RGB -> (B, classes) logits; about 63,000 parameters and 7 million multiplications.

    Every ReLU is a module of its own and is used once; `conv5` gives the last feature map, (B, 64, 8, 8).
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                [
                    *_block(1, 3, 12, kernel=5, stride=2),
                    *_block(2, 12, 16),
                    ("pool2", nn.MaxPool2d(2)),
                    *_block(3, 16, 32),
                    ("pool3", nn.MaxPool2d(2)),
                    *_block(4, 32, 64),
                    *_block(5, 64, 64),
                ]
            )
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.pool(self.features(images)).flatten(1))


def _block(number: int, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> list[tuple[str, nn.Module]]:
    return [
        (f"conv{number}", nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)),
        (f"norm{number}", nn.BatchNorm2d(outputs)),
        (f"relu{number}", nn.ReLU()),
    ]


class Plain(nn.Module):
    """Four convolutions without batch norm, pooled."""

    def __init__(self, classes: int, width: int = 24) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 5, 2, 2),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, 1, 1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(2 * width, 2 * width, 3, 1, 1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(2 * width, 3 * width, 3, 1, 1),
            nn.ReLU(),
        )
        self.head = nn.Linear(3 * width, classes)
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images).mean(dim=(2, 3)))


class Flat(nn.Module):
    """Convolutions with batch norm and a head that knows where things are: no global pooling."""

    def __init__(self, classes: int, side: int = 48) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                [
                    *_block(1, 3, 16, kernel=5, stride=2),
                    ("pool1", nn.MaxPool2d(2)),
                    *_block(2, 16, 32),
                    ("pool2", nn.MaxPool2d(2)),
                    *_block(3, 32, 32),
                ]
            )
        )
        self.head = nn.Sequential(nn.Linear(32 * (side // 8) ** 2, 48), nn.ReLU(), nn.Linear(48, classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images).flatten(1))


class Residual(nn.Module):
    """A strided stem and three residual blocks with batch norm, pooled."""

    def __init__(self, classes: int, width: int = 24) -> None:
        super().__init__()
        self.stem = nn.Sequential(OrderedDict(_block(1, 3, width, kernel=5, stride=2)))
        self.blocks = nn.ModuleList(
            [_Bottle(width, width, 2), _Bottle(width, 2 * width, 2), _Bottle(2 * width, 2 * width, 1)]
        )
        self.head = nn.Linear(2 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(dim=(2, 3)))


class _Bottle(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        plain = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if plain else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        return self.relu2(y + self.shortcut(x))


class SmallVit(nn.Module):
    """A small vision transformer: a convolutional stem to 6 x 6 tokens, three layers of attention, mean of tokens."""

    def __init__(self, classes: int, side: int = 48, width: int = 48, depth: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width // 2, 5, 2, 2), nn.ReLU(), nn.Conv2d(width // 2, width, 4, 4), nn.ReLU()
        )
        self.position = nn.Parameter(0.02 * torch.randn(1, (side // 8) ** 2, width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.stem(images).flatten(2).transpose(1, 2) + self.position
        for layer in self.layers:
            tokens = layer(tokens)
        return self.head(self.norm(tokens).mean(dim=1))


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "batch_norm": SmallCnn,
    "plain": Plain,
    "flat": Flat,
    "residual": Residual,
    "vit": SmallVit,
}
