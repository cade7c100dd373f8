"""What runs have in common: settings and origins that differ, and what makes a comparison doubtful."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.report.reading import dotted
from pipeline.report.runs import Run

# Where a run lies, how many threads decode for it, and what its page shows: nothing of what is measured.
NOISE = ("run.folder", "run.workers", "sections.", "command")
RULES = "judge."
FEW = 5  # names in a sentence; the rest is counted
ABSENT = "not set"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A key whose value is not the same in all runs; one value per run, `ABSENT` where a run lacks it."""

    key: str
    values: tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class Warn:
    """A reason to doubt the comparison with the baseline, and the runs that it concerns (their places, from 0)."""

    sentence: str
    runs: tuple[int, ...]


def config_differences(runs: Sequence[Run]) -> tuple[Difference, ...]:
    """The settings that differ, but for those that change nothing that is measured."""
    return _differences([r.config for r in runs])


def provenance_differences(runs: Sequence[Run]) -> tuple[Difference, ...]:
    """Weights, dataset, versions and machine, where they differ."""
    return _differences([origins(r) for r in runs])


def origins(run: Run) -> dict[str, object]:
    """The provenance by dotted key; weights by role, because models are called differently in different runs."""
    rest = {k: v for k, v in run.provenance.items() if k not in ("weights_sha256", "continues")}
    hashes = run.provenance.get("weights_sha256")
    weights = hashes if isinstance(hashes, Mapping) else {}
    roles = zip(("model", "twin"), run.models, strict=False)
    return {**{f"weights_sha256.{role}": weights.get(m.name) for role, m in roles}, **dict(dotted(rest))}


def warnings(runs: Sequence[Run]) -> tuple[Warn, ...]:
    """Why verdicts and numbers may differ without the model being any different, the gravest first."""
    found: dict[str, list[int]] = {}
    for place, run in enumerate(runs[1:], start=1):
        for doubt in DOUBTS:
            sentence = doubt(runs[0], run)
            if sentence:
                found.setdefault(sentence, []).append(place)
    return tuple(Warn(sentence=s, runs=tuple(places)) for s, places in found.items())


def _dataset(baseline: Run, run: Run) -> str:
    if baseline.provenance.get("dataset_sha256") == run.provenance.get("dataset_sha256"):
        return ""
    shared = len(baseline.images.index.intersection(run.images.index))
    return (
        f"The images or their annotations differ (another dataset fingerprint): {shared:,} images are in both, "
        f"of {len(baseline.images):,} in the baseline and {len(run.images):,} here."
    )


def _classes(baseline: Run, run: Run) -> str:
    old, new = ([v.scope for v in r.model.classes] for r in (baseline, run))
    only_old, only_new = [c for c in old if c not in set(new)], [c for c in new if c not in set(old)]
    parts = [f"only in the baseline: {named(only_old)}"] if only_old else []
    parts += [f"only here: {named(only_new)}"] if only_new else []
    return (
        f"Other classes were audited ({'; '.join(parts)}). An effect is measured against the others." if parts else ""
    )


def _signals(baseline: Run, run: Run) -> str:
    """Signals decide; where one is missing or counts differently, verdicts may differ by that alone."""
    old, new = (_versions(r, decides=True) for r in (baseline, run))
    return _otherwise("Other signals decided", old, new)


def _leads(baseline: Run, run: Run) -> str:
    old, new = (
        _versions(r, decides=False) | {f"method {m['name']}": m.get("version", "") for m in r.model.methods}
        for r in (baseline, run)
    )
    return _otherwise("Other attribution methods or leads were used", old, new)


def _rules(baseline: Run, run: Run) -> str:
    old, new = ({k: v for k, v in r.config.items() if k.startswith(RULES)} for r in (baseline, run))
    differ = [k for k in {**old, **new} if old.get(k, ABSENT) != new.get(k, ABSENT)]
    return f"The judge's rules differ ({named(differ)}), so the same effect may get another verdict." if differ else ""


DOUBTS: tuple[Callable[[Run, Run], str], ...] = (_dataset, _classes, _signals, _rules, _leads)


def named(names: Sequence[str]) -> str:
    """The first few names; the rest is counted."""
    rest = len(names) - FEW
    return ", ".join(names[:FEW]) + (f" and {rest:,} more" if rest > 0 else "")


def _versions(run: Run, *, decides: bool) -> dict[str, object]:
    """Version by signal, of those that decide or of the leads.

    How many places were tried depends on the images, and one that moves is a lead where a fixed one carries: places
    are one signal here, which decides.
    """
    found = ((e.signal.partition(":")[0], e) for v in run.model.classes for e in v.evidence)
    signals = ((family if family == "place" else e.signal, e) for family, e in found)
    return {name: e.version for name, e in signals if (name == "place" or e.decides) == decides}


def _otherwise(what: str, old: Mapping[str, object], new: Mapping[str, object]) -> str:
    parts = [f"{k} only in the baseline" for k in old if k not in new]
    parts += [f"{k} only here" for k in new if k not in old]
    parts += [f"{k} version {old[k]}, here {new[k]}" for k in old if k in new and str(old[k]) != str(new[k])]
    return f"{what}: {named(parts)}." if parts else ""


def _differences(maps: Sequence[Mapping[str, object]]) -> tuple[Difference, ...]:
    keys = dict.fromkeys(k for m in maps for k in m if not k.startswith(NOISE))
    rows = [Difference(key=k, values=tuple(m.get(k, ABSENT) for m in maps)) for k in keys]
    return tuple(d for d in rows if any(v != d.values[0] for v in d.values))
