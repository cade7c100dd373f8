"""A network with its preprocessing inside: RGB in [0, 1] in the model's frame -> logits."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from pipeline.core.timing import fastest_chunk
from pipeline.models.folding import folded
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
    fast: nn.Module
    classes: tuple[str, ...]
    frame: tuple[int, int]
    transform: v2.Transform
    device: torch.device

    def __call__(self, images: Images) -> Tensor:
        with torch.inference_mode():
            parts = images.contiguous(memory_format=torch.channels_last).split(self.forward_chunk)
            return torch.cat([self.fast(part).float() for part in parts])

    @cached_property
    def forward_chunk(self) -> int:
        def forward(size: int) -> None:
            with torch.inference_mode():
                self.fast(self._noise(size))

        return fastest_chunk(forward, self.device)

    @cached_property
    def backward_chunk(self) -> int:
        def both(size: int) -> None:
            with torch.enable_grad():
                images = self._noise(size).requires_grad_()
                torch.autograd.grad(self.fast(images).amax(dim=1).sum(), images)

        return fastest_chunk(both, self.device)

    def _noise(self, size: int) -> Images:
        rng = torch.Generator(self.device).manual_seed(0)
        images = torch.rand((size, 3, *self.frame), device=self.device, generator=rng)
        return images.contiguous(memory_format=torch.channels_last)

    def having(self, module: nn.Module, fast: nn.Module) -> Classifier:
        other = replace(self, module=module, fast=fast)
        measured = {k: v for k, v in vars(self).items() if k in ("forward_chunk", "backward_chunk")}
        vars(other).update(measured)  # the same architecture takes the same time
        return other

    def layer(self, name: str | None) -> nn.Module:
        return self._last_feature_map if name is None else _named(self._network, name)

    @property
    def _network(self) -> nn.Module:
        """What the fast module holds behind its normalisation; a module of the user's own may be bare."""
        return self.fast.network if isinstance(self.fast.network, nn.Module) else self.fast

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

        inner = [m for m in self.fast.modules() if m not in (self.fast, self._network)]
        handles = [m.register_forward_hook(note) for m in inner]
        try:
            with torch.no_grad():
                self.fast(torch.full((1, 3, *self.frame), 0.5, device=self.device))
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
    example = torch.rand((2, 3, *preprocessing.frame), generator=torch.Generator().manual_seed(0)).to(device)
    try:
        fast = folded(module, example).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            logits = fast(example)
    except Exception as error:  # whatever the user's network raises
        height, width = preprocessing.frame
        raise AuditError(f"`model` fails on images of {height} x {width} pixels: {error}") from error
    if logits.shape != (2, len(classes)):
        raise AuditError(
            f"`model` gives outputs of shape {tuple(logits.shape)} for 2 images; expected (2, {len(classes)}), one "
            "score for each of `model.classes`"
        )
    return Classifier(
        module=module,
        fast=fast,
        classes=tuple(classes),
        frame=preprocessing.frame,
        transform=preprocessing.transform,
        device=device,
    )


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
