"""What was run, on what, with which versions and hashes."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from pipeline.types import PngMask, Problem, Record

PACKAGES = ("shortcut-audit", "torch", "torchvision", "captum", "numpy", "pandas", "pillow", "scipy", "hydra-core")


def provenance(*, records: Sequence[Record | Problem], device: torch.device, seed: int) -> dict[str, object]:
    """Versions, machine, data fingerprint and code state of one run, JSON-ready."""
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "seed": seed,
        "dataset_sha256": fingerprint(records),
        "git": _git(Path(__file__).parents[2]),
    }


def fingerprint(records: Sequence[Record | Problem]) -> str:
    """SHA-256 over what the audit was told: ids, labels, boxes, file sizes. Independent of where the folder lies."""
    digest = hashlib.sha256()
    for record in records:
        told: list[object] = [record.id, record.path.stat().st_size if record.path.is_file() else None]
        if isinstance(record, Record):
            told += [record.label, [(o.label, o.box) for o in record.objects]]
        digest.update(json.dumps(told).encode())
    return digest.hexdigest()


def identity(facts: Mapping[str, object], records: Sequence[Record | Problem]) -> dict[str, object]:
    """What must be the same for one run to go on from what another finished; `facts` as `provenance` gives them."""
    same = ("packages", "python", "device", "device_name", "dataset_sha256")
    return {key: facts[key] for key in same} | {"files": _file_times(records), "code": _code_sha256()}


def _file_times(records: Sequence[Record | Problem]) -> str:
    """SHA-256 over when the files of images and masks were last changed, and over the masks that are no files."""
    digest = hashlib.sha256()
    for record in records:
        masks = [o.mask for o in record.objects] if isinstance(record, Record) else []
        paths = [record.path, *(m.path for m in masks if isinstance(m, PngMask))]
        told: list[object] = [(str(p), p.stat().st_mtime_ns if p.is_file() else None) for p in paths]
        digest.update(repr([*told, masks]).encode(errors="surrogateescape"))
    return digest.hexdigest()


def _code_sha256() -> str:
    """SHA-256 over this package's modules: what a version does not tell of a checkout that is worked on."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None  # run from a checkout that is not installed


def _git(folder: Path) -> dict[str, object] | None:
    """Commit and dirty flag of the checkout that the code runs from; None for an installed package."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    if not (folder / ".git").exists():
        return None
    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
