"""A small convolutional network, plain enough for every attribution method."""

from __future__ import annotations

from collections import OrderedDict

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
