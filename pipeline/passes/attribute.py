"""Logits and every method's maps of one batch; methods that read one gradient share its pass."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pipeline.core.maps import oriented
from pipeline.methods.one_pass import Reader, one_pass
from pipeline.passes.eye import Eye
from pipeline.types import Batch, Labels, Maps, Method


def attributed(eye: Eye, batch: Batch, methods: Mapping[str, Method]) -> tuple[Tensor, Labels, dict[str, Maps]]:
    """Logits (B, K), targets (B,) and every method's oriented maps; methods that read one gradient share its pass."""
    readers = {name: m for name, m in methods.items() if isinstance(m, Reader)}
    if readers:
        layers = [layer for m in readers.values() for layer in m.layers(eye.classifier)]
        seen = one_pass(
            eye.classifier,
            batch.images,
            lambda logits, part: eye.targets(batch.labels[part], logits.argmax(dim=1)),
            layers,
        )
        logits, targets = seen.logits, seen.target
    else:
        logits = eye.classifier(batch.images)
        targets = eye.targets(batch.labels, logits.argmax(dim=1))
    maps = {
        name: readers[name].read(seen, eye.classifier)
        if name in readers
        else method(eye.classifier, batch.images, targets)
        for name, method in methods.items()
    }
    return logits, targets, {name: oriented(own, methods[name].sign) for name, own in maps.items()}
