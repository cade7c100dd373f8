"""Parameters from a local file into a network, without running anything that the file brings."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.types import AuditError

NESTS = ("state_dict", "model_state_dict", "model")  # where training scripts put the parameters


def load_checkpoint(network: nn.Module, path: str | Path) -> None:
    """Loads a `.safetensors` file, or a state_dict that `torch.load(weights_only=True)` accepts; strictly.

    Raises:
        AuditError: no such file, not a checkpoint, code inside, or parameters that do not fit.
    """
    state = _read(Path(path))
    wanted = network.state_dict()
    missing = [k for k in wanted if k not in state]
    unexpected = [k for k in state if k not in wanted]
    shapes = [
        f"{k} is {tuple(state[k].shape)}, expected {tuple(v.shape)}"
        for k, v in wanted.items()
        if k in state and state[k].shape != v.shape
    ]
    if missing or unexpected or shapes:
        raise AuditError(f"the checkpoint {path} does not fit the model: {_difference(missing, unexpected, shapes)}")
    network.load_state_dict(state)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise AuditError(f"there is no checkpoint {path}; give `checkpoint` as the path of a .safetensors or .pth file")
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise AuditError(
            f"the checkpoint {path} holds more than parameters, and loading it could run code; save its state_dict"
        ) from error
    except Exception as error:  # a broken file can make the readers raise anything
        raise AuditError(f"{path} is not a checkpoint that can be read: {error}") from error
    for nest in NESTS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(nest), Mapping):
            loaded = loaded[nest]
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise AuditError(f"{path} must hold a state_dict (names to tensors), got {type(loaded).__name__}")
    return {str(k).removeprefix("module."): v for k, v in loaded.items()}


def _difference(missing: list[str], unexpected: list[str], shapes: list[str]) -> str:
    parts = [f"shape of {s}" for s in shapes[:3]]
    parts += [f"missing {', '.join(missing[:3])}" + (" ..." if len(missing) > 3 else "")] if missing else []
    parts += [f"unexpected {', '.join(unexpected[:3])}" + (" ..." if len(unexpected) > 3 else "")] if unexpected else []
    hint = "is the number of classes right?" if shapes else "is it the same architecture?"
    return f"{'; '.join(parts)} ({hint})"
