"""Run folders for the tests, written by the real writers from made-up results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.report.runs import read_run
from pipeline.run.classes import class_rows
from pipeline.run.tables import images_table, write_summary
from pipeline.types import Evidence, Findings, Observed, Results, Verdict

CONFIG = "judge:\n  delta: 0.05\nrun:\n  folder: {folder}\n  seed: {seed}\nmethods:\n  saliency: {{reduce: max}}\n"


def effect(name, estimate=0.0, half=0.1, **changes):
    """Evidence of removal on one class."""
    evidence = Evidence(
        signal="removed_excess", class_name=name, estimate=estimate, low=estimate - half, high=estimate + half,
        unit="share of images", p_value=0.5, n=20, n_others=40, detectable=0.1, role="removal", version=1, gate=0.1,
    )  # fmt: skip
    return replace(evidence, **changes)


def results(states, *, run_id="20261101T000000Z-aaaaaa", twin=None, wrong=(), per_class=4, evidence=None, **changes):
    """A run with a verdict per class. `wrong`: image id -> what it was called. `evidence`: class -> its evidence."""
    wrong = dict(wrong)
    findings = [_findings("model", states, wrong, per_class, evidence or {})]
    if twin is not None:
        findings.append(_findings("twin", twin, {}, per_class, {}))
    stamp = f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}T{run_id[9:11]}:{run_id[11:13]}:{run_id[13:15]}+00:00"
    made = Results(
        name="demo", run_id=run_id, created=stamp, findings=tuple(findings), problems=pd.DataFrame(),
        counts={"total": per_class * len(states), "audited": per_class * len(states), "skipped": 0, "failed": 0},
        pictures=pd.DataFrame(),
        provenance={
            "command": run_id, "packages": {"torch": "2.15.0"}, "device": "cpu", "seed": 0, "dataset_sha256": "d" * 64,
            "weights_sha256": {f.observed.model: "w" * 64 for f in findings},
        },
        config=CONFIG.format(folder=run_id, seed=0),
        gate={"mode": "advisory", "result": "PASS", "exit_code": 0, "reason": "the verdict is CLEAR"},
    )  # fmt: skip
    return replace(made, **changes)


def store(made: Results, root: Path) -> Path:
    """Writes a run's folder as an audit does."""
    folder = root / made.run_id
    (folder / "report").mkdir(parents=True)
    (folder / "report" / "index.html").write_text("<p>its own report</p>")
    images_table(made).to_csv(folder / "images.csv", index=False)
    pd.concat([class_rows(f) for f in made.findings]).to_csv(folder / "classes.csv", index=False)
    write_summary(made, folder)
    return folder


def run(root: Path, states, **options):
    """A run, stored and read again."""
    return read_run(store(results(states, **options), root))


def rewrite(folder: Path, change) -> None:
    """Lets `change` edit the content of summary.json."""
    path = folder / "summary.json"
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")


def _findings(model, states, wrong, per_class, evidence):
    rows = [(f"{c}-{i}", c) for c in states for i in range(per_class)]
    images = pd.DataFrame(rows, columns=["id", "class"])
    images["predicted"] = [wrong.get(i, c) for i, c in rows]
    images["correct"] = images["predicted"] == images["class"]
    images["area_fraction"], images["path"] = 0.25, "x.png"
    scores = pd.concat([images[["id", "class"]].assign(method=m, undefined="") for m in ("saliency", "occlusion")])
    observed = Observed(
        model=model, classes=tuple(states), n_outputs=len(states), frame=(8, 8), images=images,
        scores=scores, trials=pd.DataFrame(), outside_maps={},
    )  # fmt: skip
    found = {c: evidence.get(c, (effect(c),)) for c in states}
    classes = [Verdict(scope=c, state=s, reason=f"why {c}", evidence=tuple(found[c])) for c, s in states.items()]
    order = ("SHORTCUT", "CONTEXT", "INCONCLUSIVE", "CLEAR")
    whole = Verdict(scope="model", state=min((v.state for v in classes), key=order.index), reason="the worst class")
    method = {"name": "saliency", "version": "2", "status": "ok", "reason": ""}
    return Findings(
        observed=observed, evidence=tuple(e for es in found.values() for e in es), verdicts=(whole, *classes),
        accuracy=float(np.mean(images["correct"])), methods=(method,),
    )  # fmt: skip
