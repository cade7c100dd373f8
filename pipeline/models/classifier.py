"""A network with its preprocessing inside: RGB in [0, 1] in the model's frame -> logits."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from pipeline.models.preprocessing import Preprocessing
from pipeline.types import AuditError, Images


class Normalised(nn.Module):
    """The network behind its normalisation, so that pixels mean the same everywhere outside."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(list(mean)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Images) -> Tensor:
        logits = self.network((images - self.mean) / self.std)
        return getattr(logits, "logits", logits)  # some libraries wrap what they return


@dataclass(frozen=True, kw_only=True, eq=False)
class Classifier:
    """See the protocol of the same name in types.py."""

    module: nn.Module
    classes: tuple[str, ...]
    frame: tuple[int, int]
    transform: v2.Transform
    device: torch.device

    def __call__(self, images: Images) -> Tensor:
        with torch.inference_mode():
            return self.module(images).float()

    def layer(self, name: str | None) -> nn.Module:
        network = self.module.network
        assert isinstance(network, nn.Module)
        return self._last_feature_map if name is None else _named(network, name)

    @cached_property
    def _last_feature_map(self) -> nn.Module:
        """The last module that gives a feature map larger than 1 x 1 which is not yet the map of class scores.

        A network's tail (dropout, a convolution to K channels, pooling) keeps the size but not the features: channels
        equal to the number of classes end the search in it.
        """
        found: list[nn.Module] = []

        def note(module: nn.Module, _: object, output: object) -> None:
            if not isinstance(output, Tensor) or output.dim() != 4:
                return
            if min(output.shape[2:]) > 1 and output.shape[1] != len(self.classes):
                found.append(module)

        inner = [m for m in self.module.modules() if m not in (self.module, self.module.network)]
        handles = [m.register_forward_hook(note) for m in inner]
        try:
            with torch.no_grad():
                self.module(torch.full((1, 3, *self.frame), 0.5, device=self.device))
        finally:
            for handle in handles:
                handle.remove()
        useful = [m for m in found if not isinstance(m, nn.Dropout | nn.Dropout2d | nn.Identity)]
        if not useful:
            raise ValueError("the network has no layer that gives a feature map (B, channels, height, width)")
        return useful[-1]


def classifier(
    network: nn.Module, classes: Sequence[str], preprocessing: Preprocessing, device: torch.device
) -> Classifier:
    """Wraps a network: evaluation mode, frozen parameters, on the device; tries it on one image.

    Raises:
        AuditError: the network fails on an image of its frame, or its outputs are not one score per class.
    """
    module = Normalised(network, preprocessing.mean, preprocessing.std).to(device).eval().requires_grad_(False)
    made = Classifier(
        module=module,
        classes=tuple(classes),
        frame=preprocessing.frame,
        transform=preprocessing.transform,
        device=device,
    )
    try:
        logits = made(torch.full((2, 3, *made.frame), 0.5, device=device))
    except Exception as error:  # whatever the user's network raises
        raise AuditError(f"`model` fails on images of {made.frame[0]} x {made.frame[1]} pixels: {error}") from error
    if logits.shape != (2, len(classes)):
        raise AuditError(
            f"`model` gives outputs of shape {tuple(logits.shape)} for 2 images; expected (2, {len(classes)}), one "
            "score for each of `model.classes`"
        )
    return made


def weights_sha256(module: nn.Module) -> str:
    """SHA-256 over names, shapes and values of the parameters and buffers; the same on every device."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        plain = value.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _named(network: nn.Module, name: str) -> nn.Module:
    modules = dict(network.named_modules())
    if name not in modules or not name:
        near = difflib.get_close_matches(name, modules, n=5, cutoff=0.3)
        raise ValueError(f"`layer` {name!r} is not in the network; near: {', '.join(near) or 'none'}")
    return modules[name]
