"""A pretrained network, its last block and head trained on some hundred photographs in seconds."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

BATCH = 64


def fine_tuned(
    pretrained: nn.Module,
    mean: Tensor,
    std: Tensor,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    n_classes: int,
    *,
    epochs: int,
    rate: float,
    seed: int,
) -> nn.Module:
    """A copy of the network with a new head, trained on the photographs; the first blocks stay as they were.

    What the frozen blocks say of each photograph is computed once; the last block and the head are trained on that.

    Args:
        pretrained: a torchvision network; its last layer, linear or convolution, becomes the head.
        mean, std: (1, 3, 1, 1), of RGB in [0, 1].
        images: (n, 3, H, W); labels: (n,).
    """
    torch.manual_seed(seed)
    network = with_head(copy.deepcopy(pretrained).requires_grad_(True), n_classes)
    frozen, trained = halves(network)
    frozen.requires_grad_(False).eval()
    with torch.no_grad():
        parts = torch.from_numpy(images).split(BATCH)
        features = torch.cat([frozen((part.float() / 255 - mean) / std) for part in parts])
    truth = torch.from_numpy(labels)
    trained.train()
    for module in trained.modules():  # statistics of a few hundred photographs are worse than those that came along
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    optimiser = torch.optim.AdamW(trained.parameters(), rate, weight_decay=1e-2)
    steps = -(-len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, epochs=epochs, steps_per_epoch=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(truth)).split(BATCH):
            loss = nn.functional.cross_entropy(trained(features[rows]), truth[rows], label_smoothing=0.05)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.eval()


def with_head(network: nn.Module, n_classes: int) -> nn.Module:
    """The network with its last linear or convolution layer replaced by one of `n_classes` outputs.

    Raises:
        ValueError: it has no such layer.
    """
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    if not names:
        raise ValueError("the pretrained network has no linear or convolution layer to replace")
    parent, _, leaf = names[-1].rpartition(".")
    holder, old = network.get_submodule(parent), network.get_submodule(names[-1])
    new: nn.Module
    if isinstance(old, nn.Linear):
        new = nn.Linear(old.in_features, n_classes)
    else:
        assert isinstance(old, nn.Conv2d)
        new = nn.Conv2d(old.in_channels, n_classes, old.kernel_size)  # type: ignore[arg-type]
    setattr(holder, leaf, new)
    return network


def halves(network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """What stays frozen and what is trained, one after the other the whole network.

    Networks of `features` and `classifier` (SqueezeNet, VGG, MobileNet, DenseNet, EfficientNet, ConvNeXt) and ResNets
    are divided before their last block; of any other everything is trained.
    """
    if isinstance(features := getattr(network, "features", None), nn.Sequential):
        last = next(i for i in reversed(range(len(features))) if any(True for _ in features[i].parameters()))
        rest = [features[last:], *(m for n, m in network.named_children() if n not in ("features",))]
        if not isinstance(getattr(network, "avgpool", None), nn.Module) and isinstance(rest[-1], nn.Sequential):
            pooled = any(isinstance(m, nn.AdaptiveAvgPool2d) for m in rest[-1])
            rest = rest if pooled else [rest[0], nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), *rest[1:]]
            return features[:last], nn.Sequential(*rest, nn.Flatten())
        return features[:last], nn.Sequential(*rest[:-1], nn.Flatten(), rest[-1])
    if all(hasattr(network, part) for part in ("conv1", "layer4", "fc")):
        children = dict(network.named_children())
        tail = [children[n] for n in ("layer4", "avgpool")]
        front = [m for n, m in children.items() if n not in ("layer4", "avgpool", "fc")]
        return nn.Sequential(*front), nn.Sequential(*tail, nn.Flatten(), children["fc"])
    return nn.Identity(), network
