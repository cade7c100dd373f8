"""The data probe: planted biases are found and named, honest data are not accused, and scores are scikit-learn's."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from pipeline.signals.data_probe import RIDGE, DataProbe, auroc, out_of_fold, property_table
from pipeline.types import Evidence, Observed

PROBE = DataProbe(folds=5, draws=199, max_images=500, min_images=10)


def observed(rng: np.random.Generator, shift: float = 0.0, per_class: int = 30) -> Observed:
    n = 3 * per_class
    labels = np.repeat(["cat", "cow", "dog"], per_class)
    images = pd.DataFrame(
        {
            "id": [f"i{i}" for i in range(n)], "class": labels, "width": rng.integers(90, 110, n), "height": 100,
            "file_type": np.where(rng.uniform(size=n) < 0.5, "JPEG", "PNG"), "camera": "",
            **{f"probe_{p}": rng.normal(size=n) for p in ("brightness", "contrast", "saturation")},
        }
    )  # fmt: skip
    images.loc[labels == "cow", "probe_brightness"] += shift
    return Observed(
        model="m", classes=("cat", "cow", "dog"), n_outputs=3, frame=(32, 32), images=images, scores=pd.DataFrame(),
        trials=pd.DataFrame(), outside_maps={},
    )  # fmt: skip


def by_class(seen: Observed, seed: int = 0) -> dict[str, Evidence]:
    return {e.class_name: e for e in PROBE(seen, np.random.default_rng(seed))}


def test_a_planted_bias_is_found_and_named() -> None:
    seen = observed(np.random.default_rng(0), shift=2.0)
    found = by_class(seen)["cow"]
    assert found.estimate > 0.8
    assert found.p_value <= 0.01
    assert not found.decides
    assert (found.details["property"], found.details["property_words"]) == ("brightness", "brighter")
    cows = seen.images[seen.images["class"] == "cow"].set_index("id")["probe_brightness"]
    ends = [cows[str(found.details[k]).split(", ")].mean() for k in ("most_typical", "least_typical")]
    assert ends[0] > cows.mean() > ends[1]


def test_honest_data_are_rarely_accused() -> None:
    p = [e.p_value for s in range(34) for e in by_class(observed(np.random.default_rng(s)), s).values()]
    assert np.mean(np.array(p) <= 0.05) <= 0.1


def test_a_file_type_tells_too() -> None:
    seen = observed(np.random.default_rng(0))
    seen.images.loc[seen.images["class"] == "dog", "file_type"] = "PNG"
    seen.images.loc[seen.images["class"] != "dog", "file_type"] = "JPEG"
    assert by_class(seen)["dog"].estimate == pytest.approx(1.0)
    assert "file_type" in str(by_class(seen)["dog"].details["property"])


def test_out_of_fold_scores_are_sklearns() -> None:
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(40, 3)), np.repeat(["a", "b"], 20)
    operator = out_of_fold(x, labels, 4, np.random.default_rng(2))
    y = (labels == "a").astype(float)
    expanded = np.concatenate([x, (x - x.mean(axis=0)) ** 2], axis=1)
    for test in {tuple(np.flatnonzero(row == 0)) for row in operator}:
        held = np.array(test)
        train = np.setdiff1d(np.arange(40), held)
        mean, spread = expanded[train].mean(axis=0), expanded[train].std(axis=0)
        model = Ridge(alpha=RIDGE).fit((expanded[train] - mean) / spread, y[train])
        assert (operator @ y)[held] == pytest.approx(model.predict((expanded[held] - mean) / spread))


def test_auroc_is_sklearns() -> None:
    rng = np.random.default_rng(3)
    scores, own = rng.integers(0, 5, 50).astype(float), rng.uniform(size=50) < 0.4
    assert auroc(scores[None], own[None])[0] == pytest.approx(roc_auc_score(own, scores))


def test_few_images_and_missing_properties_say_nothing() -> None:
    assert PROBE(observed(np.random.default_rng(0), per_class=4), np.random.default_rng(0)) == []
    seen = observed(np.random.default_rng(0))
    bare = seen.images.drop(columns=[c for c in seen.images if c.startswith("probe_")])
    assert PROBE(Observed(**{**vars(seen), "images": bare}), np.random.default_rng(0)) == []


def test_constant_properties_are_no_properties() -> None:
    table = property_table(observed(np.random.default_rng(0)).images)
    assert "camera: " not in table
    assert table.std().min() > 0
