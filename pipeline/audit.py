"""The Audit and its run, on one screen."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.datasets.loading import examples
from pipeline.judge import Judge
from pipeline.models.classifier import weights_sha256
from pipeline.passes.album import COLUMNS, Album
from pipeline.passes.choose import choose_drawn
from pipeline.passes.decode import Stock
from pipeline.passes.eye import Eye, class_index, generator
from pipeline.passes.illustrate import Illustrator
from pipeline.passes.refer import References
from pipeline.passes.spike import SpikeIn, cheapest
from pipeline.passes.study import Study, found, study
from pipeline.report.press import Press
from pipeline.report.publish import write_report
from pipeline.report.settings import ReportSettings
from pipeline.run.classes import class_rows
from pipeline.run.folder import RunFolder
from pipeline.run.gate import Gate
from pipeline.run.parts import begun, take_up
from pipeline.run.provenance import identity, provenance
from pipeline.run.reviews import kept
from pipeline.run.settings import RunSettings
from pipeline.run.stored import store
from pipeline.run.tables import write_summary, write_tables
from pipeline.types import (
    AuditError,
    Classifier,
    Dataset,
    Example,
    Findings,
    Intervention,
    Method,
    Metric,
    ModelSource,
    Problem,
    Record,
    Results,
    Section,
    Signal,
)

log = logging.getLogger("pipeline")


@dataclass(frozen=True, kw_only=True)
class Audit:
    """One question asked of one model: does it look at the object?

    `twin` is a second model, audited on the same images for comparison (a clean twin, the last release); it is reported
    beside the first and never gated. `class_map` says which output of the model stands for a class of the dataset, by
    name or number, where the two do not share the name; null leaves a class out.
    """

    dataset: Dataset
    model: ModelSource
    model_name: str
    twin: ModelSource | None
    twin_name: str
    class_map: Mapping[str, str | int | None]
    methods: Mapping[str, Method]
    metrics: Mapping[str, Metric]
    interventions: Mapping[str, Intervention]
    signals: Mapping[str, Signal]
    judge: Judge
    sections: Mapping[str, Section]
    gate: Gate
    spike_in: SpikeIn | None
    references: References | None
    report: ReportSettings
    run: RunSettings

    def __post_init__(self) -> None:
        if self.twin is not None and self.twin_name == self.model_name:
            raise ValueError(f"`twin_name` must differ from `model_name`, got {self.twin_name!r} for both")

    def __call__(self, folder: RunFolder, config: str) -> Results:
        """Carries the audit out in a run's folder; `config` is the resolved configuration, for the record.

        Raises:
            AuditError: nothing to audit, classes that do not match, weights that do not fit.
        """
        kept(folder.final.parent)  # damaged reviews are said before the work, not after it
        device = self.run.torch_device()
        records = self.records()
        facts = provenance(records=records, device=device, seed=self.run.seed)
        stock: Stock | None = None
        prepared = ""
        findings: list[Findings] = []
        pictures: list[pd.DataFrame] = []
        albums: list[pd.DataFrame] = []
        weights: dict[str, str] = {}
        spikes: pd.DataFrame | None = None
        with Press(folder.partial / "report") as press:
            for i, (name, source) in enumerate(self._sources()):
                classifier = source.load(device)
                weights[name] = weights_sha256(classifier.module)
                if stock is None:
                    stock, prepared = self._begun(folder, facts, records, classifier), repr(classifier.transform)
                parts = folder.parts / str(i)
                if why := begun(parts, {"model": name, "weights": weights[name]}):
                    log.warning("%s: everything is done again: %s", name, why)
                if repr(classifier.transform) != prepared:
                    raise AuditError(
                        f"{name!r} needs other preprocessing than {self.model_name!r}; audit it in its own run"
                    )
                eye = self.eye(records, classifier)
                album = Album(model=name, ids=self._drawn(records), frames=stock.frames, press=press)
                studied = self._study(eye, stock, album, parts)
                if self.spike_in is not None and not findings:
                    spikes = self._spiked(self.spike_in, eye, stock, studied)
                findings.append(found(eye, studied, self.methods))
                pictures.append(self._illustrated(eye, stock, studied, album))
                if self.report.images:
                    albums.append(album.table())
            if folder.continues:
                press.sweep()
        assert stock is not None
        results = Results(
            name=self.run.name,
            run_id=folder.run_id,
            created=folder.created.isoformat(timespec="seconds"),
            findings=tuple(findings),
            problems=stock.problem_rows,
            counts=stock.counts,
            pictures=pd.concat(pictures, ignore_index=True),
            provenance={**facts, "weights_sha256": weights} | folder.history,
            config=config,
            gate=self.gate(findings[0].verdicts[0]),
            spikes=spikes,
            album=pd.concat(albums, ignore_index=True) if albums else pd.DataFrame(columns=COLUMNS),
        )
        self._write(results, folder)
        return results

    def _sources(self) -> Iterator[tuple[str, ModelSource]]:
        yield self.model_name, self.model
        if self.twin is not None:
            yield self.twin_name, self.twin

    def _begun(
        self, folder: RunFolder, facts: Mapping[str, object], records: Sequence[Record | Problem], first: Classifier
    ) -> Stock:
        """The images, and what an unfinished run has left of this one, if that was of the same."""
        take_up(folder, {**identity(facts, records), "preprocessing": repr(first.transform)})
        return self.stock(records, first, folder.frames, folder.parts / "images")

    def records(self) -> list[Record | Problem]:
        """The dataset's; images of classes that `class_map` leaves out are skipped, not forgotten."""
        out = {c for c, output in self.class_map.items() if output is None}
        return [_left_out(r) if isinstance(r, Record) and r.label in out else r for r in self.dataset.records()]

    def _drawn(self, records: Sequence[Record | Problem]) -> frozenset[str]:
        """The ids of the images that are drawn for looking through; those that turn out unusable just lack."""
        usable = [r for r in records if isinstance(r, Record)]
        rng = generator(self.run.seed, "images drawn")
        return frozenset(usable[i].id for i in choose_drawn([r.label for r in usable], self.report.images, rng))

    def stock(
        self, records: Sequence[Record | Problem], classifier: Classifier, folder: Path, parts: Path | None = None
    ) -> Stock:
        """Where these records' images will be, decoded for this classifier; `parts` says which are there already."""

        def stream(start: int) -> Iterator[Example | Problem]:
            return examples(
                records[start:],
                classifier.transform,
                classifier.frame,
                workers=self.run.workers,
                min_visible=self.run.min_visible,
            )

        return Stock(stream, len(records), classifier.frame, folder, parts)

    def eye(self, records: Sequence[Record | Problem], classifier: Classifier) -> Eye:
        """How this classifier is looked at.

        Raises:
            AuditError: it lacks a class of the records.
        """
        labels = {r.label for r in records if isinstance(r, Record)}
        index = class_index(labels, classifier.classes, self.class_map)
        return Eye(classifier=classifier, index=index, target=self.run.target)

    def _study(self, eye: Eye, stock: Stock, album: Album, parts: Path) -> Study:
        """Looks at every image, changes some and looks again, weighs what it saw."""
        seed, batch_size = self.run.seed, self.run.batch_size
        refer = None
        if self.references is not None:
            refer = partial(self.references, class_map=self.class_map, seed=seed, batch_size=batch_size)
        studied = study(
            eye,
            stock,
            methods=self.methods,
            metrics=self.metrics,
            interventions=self.interventions,
            signals=self.signals,
            judge=self.judge,
            name=album.model,
            seed=seed,
            batch_size=batch_size,
            refer=refer,
            album=album,
            parts=parts,
        )
        for verdict in studied.verdicts:
            log.info("%s: %s: %s: %s", album.model, verdict.scope, verdict.state, verdict.reason)
        return studied

    def _illustrated(self, eye: Eye, stock: Stock, studied: Study, album: Album) -> pd.DataFrame:
        """Draws what the report will show of one model."""
        illustrate = Illustrator(
            eye=eye,
            frames=stock.frames,
            methods={m: f for m, f in self.methods.items() if m not in studied.refused},
            interventions=self.interventions,
            observed=studied.observed,
            album=album,
            batch_size=self.run.batch_size,
        )
        return illustrate(studied.verdicts, self.run.seed)

    def _spiked(self, spike_in: SpikeIn, eye: Eye, stock: Stock, studied: Study) -> pd.DataFrame:
        usable = {m: f for m, f in self.methods.items() if m not in studied.refused}
        return spike_in(
            eye,
            stock.frames,
            studied,
            methods=cheapest(usable),
            interventions=self.interventions,
            signals=self.signals,
            judge=self.judge,
            seed=self.run.seed,
            batch_size=self.run.batch_size,
        )

    def _write(self, results: Results, folder: RunFolder) -> None:
        classes = [class_rows(f) for f in results.findings]
        write_tables(results, pd.concat(classes, ignore_index=True), folder.partial)
        store(results, folder.partial)
        try:
            write_report(results, self.sections, self.report, folder.partial, beside=folder.final.parent)
        except AuditError as error:  # no room for the single file: the audit stands, and the page was written
            log.warning("%s", error)
        write_summary(results, folder.partial)


def _left_out(record: Record) -> Problem:
    message = f"class {record.label!r} is left out by class_map.{record.label}=null"
    return Problem(id=record.id, path=record.path, status="skipped", reason="class_left_out", message=message)
