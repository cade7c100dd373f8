"""Rates from measured cases: who counts where, and intervals against other implementations."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from pipeline.calibrate import write
from pipeline.calibrate.rates import auroc, baselines, detection_curve, models, rates, share, size
from tests.test_judge import judge


def row(name: str, arm: str, state: str, *, guilty: bool = False, reliance: float = 0.0, score: float = 0.0) -> dict:
    return {
        "name": name, "arm": arm, "kind": "logo" if arm == "planted" else "", "network": "flat", "base": "shapes",
        "prevalence": 1.0, "preference": 0.5, "n": 150, "model_accuracy": 0.9, "reliance": reliance if guilty else 0.0,
        "model_reliance": reliance, "guilty": guilty, "state": state, "model_state": state, "guards": "",
        "score": score, "hotspot": np.nan, "peak": np.nan, "baseline:edge": score / 2,
    }  # fmt: skip


def measured() -> pd.DataFrame:
    rows = []
    for i in range(10):  # strong: nine found, one of them with an innocent class blamed too, one missed
        state = "SHORTCUT" if i else "INCONCLUSIVE"
        rows.append(row(f"p{i}", "planted", state, guilty=True, reliance=0.9, score=0.5 + i / 100))
        rows.append(row(f"p{i}", "planted", "CONTEXT" if i == 1 else "CLEAR", reliance=0.9))
    rows += [row(f"c{i}", "clean", "CONTEXT" if i == 0 else "CLEAR", score=i / 100) for i in range(20)]
    return pd.DataFrame(rows)


def test_models_are_counted_once_and_the_right_class_is_asked() -> None:
    found = {r.measure: r for r in rates(measured(), ["logo"], [])}
    assert found["detection, strong (SHORTCUT, right class)"].value == pytest.approx(0.9)
    assert found["false alarms, clean"].value == pytest.approx(1 / 20)
    assert found["false alarms, unaffected classes"].value == pytest.approx(1 / 10)
    assert found["wrong class blamed, of class verdicts"].value == pytest.approx(1 / 10)
    assert found["AUROC, model level, moderate + strong"].value == 1.0
    assert "detection, moderate (SHORTCUT, right class)" not in found


def test_expected_misses_stay_out() -> None:
    table = measured()
    table.loc[table["name"] == "p0", "kind"] = "in_box"
    found = {r.measure: r for r in rates(table, ["logo"], ["in_box"])}
    assert found["detection, strong (SHORTCUT, right class)"].value == 1.0


def test_intervals_are_clopper_pearsons() -> None:
    found = share("", pd.Series([True] * 7 + [False] * 3), "")
    assert (found.low, found.high) == pytest.approx((beta.ppf(0.025, 7, 4), beta.ppf(0.975, 8, 3)))


def test_auroc_is_sklearns() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, 30), rng.normal(0, 1, 40)
    found = auroc("", pd.Series(a), pd.Series(b), "")
    assert found.value == pytest.approx(roc_auc_score([1] * 30 + [0] * 40, [*a, *b]))
    assert found.low < found.value < found.high


def test_the_curve_puts_models_into_their_bins() -> None:
    curve = detection_curve(measured(), [], [0.0, 0.5, 1.01])
    assert curve[["low_reliance", "models"]].to_numpy().tolist() == [[0.5, 10]]
    assert curve["detected"].iloc[0] == pytest.approx(0.9)


def test_what_no_model_speaks_for_has_no_row() -> None:
    harmless = measured().query("arm == 'clean'")
    assert len(baselines(measured(), [])) == 1
    assert baselines(harmless, []) == []
    assert {r.n for r in rates(harmless, ["logo"], [])} == {20}
    curve = detection_curve(harmless, [], [0.0, 0.5, 1.01])
    assert len(curve) == 0
    assert list(curve) == list(detection_curve(measured(), [], [0.0, 1.01]))


@pytest.mark.parametrize("rows", [measured(), measured().query("arm == 'clean'"), measured().assign(n=40)])
def test_nothing_undefined_is_written_or_printed(
    rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "table", lambda measured, judge: rows)
    lines = write.write_rates([], judge(), tmp_path)
    assert lines
    assert not any("nan" in line for line in lines)
    for name in ("rates.csv", "detection.csv"):
        assert pd.read_csv(tmp_path / name).drop(columns="target", errors="ignore").notna().all(axis=None)
    shipped = json.loads((tmp_path / "error_rates.json").read_text())
    assert all(v is not None for row in (*shipped["rates"], *shipped["detection"]) for v in row.values())


def test_sizes_are_the_issues_words() -> None:
    assert [size(r) for r in (0.5, 0.49, 0.2, 0.19, 0.05, 0.04)] == [
        "strong", "moderate", "moderate", "weak", "weak", "none",
    ]  # fmt: skip
    assert models(measured()).loc["p1", "blamed"] == 1
