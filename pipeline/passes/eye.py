"""How the audit looks at one model, and how it walks over rows in batches."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.types import AuditError, Classifier

Rows = np.ndarray  # (n,) int, row numbers of the frames


def generator(seed: int, name: str) -> np.random.Generator:
    """Randomness for one named part: adding a part leaves the numbers of the others alone."""
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")])


def in_batches(rows: Rows, size: int) -> Iterator[Rows]:
    """Consecutive pieces of at most `size` rows."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def halved(work: Callable[[Rows], None], rows: Rows) -> None:
    """Does the work on all rows at once, or on halves where the device's memory does not suffice."""
    try:
        work(rows)
    except torch.OutOfMemoryError as error:
        if len(rows) == 1:
            raise AuditError("the device's memory does not suffice for one image; use another device") from error
    else:
        return
    torch.cuda.empty_cache()
    middle = len(rows) // 2
    halved(work, rows[:middle])
    halved(work, rows[middle:])


def class_index(
    labels: Collection[str], outputs: tuple[str, ...], class_map: Mapping[str, str | int | None]
) -> dict[str, int]:
    """Which column of the logits stands for each audited class, in alphabetical order of the classes.

    `class_map` gives the output by name or number where the dataset calls a class otherwise; null leaves a class out.

    Raises:
        AuditError: a class without an output, an output that does not exist, two classes with one output.
    """
    index: dict[str, int] = {}
    missing: list[str] = []
    for label in sorted(labels):
        wanted = class_map.get(label, label)
        if wanted is None:
            continue
        if isinstance(wanted, int) and 0 <= wanted < len(outputs):
            index[label] = wanted
        elif wanted in outputs:
            index[label] = outputs.index(str(wanted))
        else:
            close = difflib.get_close_matches(str(wanted), outputs, n=3, cutoff=0.5)
            missing.append(f"{wanted!r}" + (f" (near: {', '.join(close)})" if close else ""))
    if missing:
        raise AuditError(
            f"the model has no output called {', '.join(missing)}; it has {len(outputs)}: {_few(outputs)}. Give "
            "+class_map.<class of the dataset>=<name or number of the output>, or =null to leave the class out"
        )
    if len(set(index.values())) < len(index):
        twice = [c for c, column in index.items() if list(index.values()).count(column) > 1]
        raise AuditError(f"`class_map` gives one output to several classes: {', '.join(twice)}")
    return index


def _few(names: tuple[str, ...], most: int = 6) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


@dataclass(frozen=True, kw_only=True)
class Eye:
    """How the audit looks at one model: the model, its classes among the dataset's, and what is explained."""

    classifier: Classifier
    index: Mapping[str, int]  # audited class -> column of the logits
    target: str  # predicted | label | the name of one of the model's classes

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.index)

    @property
    def columns(self) -> Tensor:
        """(C,) the logits' columns of the audited classes, on the device."""
        return torch.tensor(list(self.index.values()), device=self.classifier.device)

    @property
    def names(self) -> np.ndarray:
        """(K,) what to call each output: by the dataset's name where it is audited."""
        names = np.array(self.classifier.classes, dtype=object)
        names[list(self.index.values())] = list(self.index)
        return names

    def targets(self, labels: Tensor, predicted: Tensor) -> Tensor:
        """(B,) the logits' columns to explain."""
        if self.target == "predicted":
            return predicted
        if self.target == "label":
            return labels
        column = self.index.get(self.target)
        if column is None:
            column = self.classifier.classes.index(self.target)
        return torch.full_like(labels, column)


def log_odds(logits: Tensor) -> Tensor:
    """(B, K) float64 log(p / (1 - p)) of every class, exact also where p rounds to 1.

    log p_k - log sum_{j != k} p_j. The subtraction 1 - p loses everything for the winning class, so its rivals are
    summed without it.
    """
    logits = logits.double()
    log_p = logits.log_softmax(dim=1)
    top = logits.argmax(dim=1, keepdim=True)
    rivals = log_p.scatter(1, top, -torch.inf).logsumexp(dim=1, keepdim=True)
    others = torch.log(-torch.expm1(log_p.clamp(max=-1e-12))).scatter(1, top, rivals)
    return log_p - others


def to_host(columns: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """All columns in one transfer."""
    block = torch.stack([column.double() for column in columns.values()]).cpu().numpy()
    return dict(zip(columns, block, strict=True))
