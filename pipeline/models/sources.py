"""Where networks come from: torchvision by name, or any callable, with weights from a local file."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError

import torch
from torch import nn
from torchvision.models import get_model, get_model_weights, list_models

from pipeline.models.checkpoint import load_checkpoint
from pipeline.models.classifier import Classifier, classifier
from pipeline.models.preprocessing import Preprocessing, from_weights
from pipeline.types import AuditError


@dataclass(frozen=True, kw_only=True)
class Torchvision:
    """A torchvision classifier by name.

    `weights` names a member of the model's weights enum: its transforms are the preprocessing and its categories the
    class names, unless given. With `checkpoint`, the parameters come from that file and nothing is downloaded.
    """

    name: str
    weights: str | None = None
    checkpoint: str | None = None
    classes: Sequence[str] | None = None
    num_classes: int | None = None
    preprocessing: Preprocessing | None = None

    def __post_init__(self) -> None:
        names = list_models(module=None)
        if self.name not in names:
            near = difflib.get_close_matches(self.name, names, n=4, cutoff=0.4)
            raise ValueError(f"`name`: torchvision has no model {self.name!r}; near: {', '.join(near) or 'none'}")
        members = [m.name for m in get_model_weights(self.name)]
        if self.weights is not None and self.weights not in [*members, "DEFAULT"]:
            raise ValueError(
                f"`weights` of {self.name} must be one of DEFAULT, {', '.join(members)}; got {self.weights}"
            )
        if self.weights is None and self.preprocessing is None:
            raise ValueError("`preprocessing` is required where `weights` does not bring its own")
        if self.weights is None and self.checkpoint is None:
            raise ValueError("give `weights`, `checkpoint` or both: a network with random weights has nothing to audit")
        if self.classes is not None and self.num_classes not in (None, len(self.classes)):
            raise ValueError(f"`num_classes` is {self.num_classes} but `classes` has {len(self.classes)} names")

    def load(self, device: torch.device) -> Classifier:
        """Raises AuditError for weights that cannot be had or do not fit."""
        weights = None if self.weights is None else get_model_weights(self.name)[self._member()]
        names = self._names(weights)
        network = self._network(weights, len(names))
        preprocessing = self.preprocessing or from_weights(weights)
        return classifier(network, names, preprocessing, device)

    def _member(self) -> str:
        default: Any = get_model_weights(self.name).DEFAULT
        return default.name if self.weights == "DEFAULT" else str(self.weights)

    def _names(self, weights: Any) -> tuple[str, ...]:
        if self.classes is not None:
            return tuple(self.classes)
        if self.num_classes is not None:
            return tuple(map(str, range(self.num_classes)))
        if weights is not None:
            return tuple(weights.meta["categories"])
        raise AuditError("`model.classes` is required: the checkpoint does not say what its outputs are called")

    def _network(self, weights: Any, n_classes: int) -> nn.Module:
        if self.checkpoint is not None:
            network = get_model(self.name, weights=None, num_classes=n_classes, **_quiet(self.name))
            load_checkpoint(network, self.checkpoint)
            return network
        try:
            network = get_model(self.name, weights=weights)
        except (URLError, OSError) as error:
            raise AuditError(
                f"the weights {self.name}/{self.weights} cannot be downloaded ({error}); give a local file with "
                "model.checkpoint=/path/to/weights.safetensors"
            ) from error
        return network


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of the user's own: `build` is any callable without arguments that returns a torch module.

    In YAML: `build: {_target_: my_package.MyNet, _partial_: true, width: 64}`.
    """

    build: Callable[[], nn.Module]
    classes: Sequence[str]
    preprocessing: Preprocessing
    checkpoint: str | None = None

    def load(self, device: torch.device) -> Classifier:
        """Raises AuditError for a network that cannot be built and weights that do not fit."""
        try:
            network = self.build()
        except Exception as error:  # the user's own code
            raise AuditError(f"`model.build` fails: {error}") from error
        if not isinstance(network, nn.Module):
            raise AuditError(f"`model.build` must return a torch.nn.Module, got {type(network).__name__}")
        if self.checkpoint is not None:
            load_checkpoint(network, self.checkpoint)
        return classifier(network, self.classes, self.preprocessing, device)


def _quiet(name: str) -> dict[str, Any]:
    """GoogLeNet and Inception warn about their slow default initialisation, which the checkpoint replaces anyway."""
    return {"init_weights": False, "aux_logits": True} if name in {"googlenet", "inception_v3"} else {}
