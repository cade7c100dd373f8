"""The provenance: what was run, on what, with which settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from pipeline.report.render import render
from pipeline.types import Results


@dataclass(frozen=True, kw_only=True)
class ProvenanceSection:
    """Versions, machine, fingerprints and the resolved config."""

    title: ClassVar[str] = "Provenance"

    def __call__(self, results: Results) -> str:
        return render("provenance.html", rows=list(_flat(results.provenance)), results=results)


def _flat(tree: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """Dotted names and values, nested mappings opened."""
    for key, value in tree.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        else:
            yield name, "none" if value is None else value
