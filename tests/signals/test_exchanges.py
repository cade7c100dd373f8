"""Exchanges against a slow twin of loops; intervals cover, p-values keep their level, and nobody pays for another."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from pipeline.signals.exchanges import Exchange, best_of, exchange, without_top_class

DRAWS = 400


def arm(
    rng: np.random.Generator, rate: float, *, donors: int, per_donor: int, classes: str = "bcd", spread: float = 0.0
) -> pd.DataFrame:
    """Donors that give to recipients of other classes, each with a rate of its own where there is a spread."""
    rows = []
    for d in range(donors):
        own = rate if not spread or not 0 < rate < 1 else rng.beta(rate / spread, (1 - rate) / spread)
        for _ in range(per_donor):
            c = classes[len(rows) % len(classes)]
            rows.append((f"d{d}", f"{c}{rng.integers(40)}", c, "a" if rng.uniform() < own else c))
    return pd.DataFrame(rows, columns=["donor", "recipient", "recipient_class", "predicted"])


def by_loops(taken: pd.DataFrame, control: pd.DataFrame, k: str, rng: np.random.Generator) -> Exchange:
    """The same, trial by trial and relabeling by relabeling."""
    difference = {}
    for c in set(taken["recipient_class"]) & set(control["recipient_class"]):
        rates = []
        for table in (taken, control):
            called = [p == k for p, r in zip(table["predicted"], table["recipient_class"], strict=True) if r == c]
            rates.append(sum(called) / len(called))
        difference[c] = rates[0] - rates[1]
    top = max(difference, key=difference.__getitem__)
    arms = []
    for table in (taken, control):
        arms.append([row for row in table.to_dict("records") if row["recipient_class"] != top])
    rates, limits, per_donor = [], [], []
    for rows in arms:
        rates.append(sum(row["predicted"] == k for row in rows) / len(rows))
        donors, recipients = (list(dict.fromkeys(row[x] for row in rows)) for x in ("donor", "recipient"))
        per_donor.append(
            [np.mean([row["predicted"] == k for row in rows if row["donor"] == d]) for d in sorted(donors)]
        )
        counts = [rng.multinomial(len(x), np.full(len(x), 1 / len(x)), size=DRAWS) for x in (donors, recipients)]
        drawn = []
        for b in range(DRAWS):
            weights = [
                counts[0][b][donors.index(row["donor"])] * counts[1][b][recipients.index(row["recipient"])]
                for row in rows
            ]
            if sum(weights):
                named = (w for w, row in zip(weights, rows, strict=True) if row["predicted"] == k)
                drawn.append(sum(named) / sum(weights))
        limits.append(np.quantile(drawn, [0.025, 0.975]))
    values = np.array(per_donor[0] + per_donor[1])
    n = len(per_donor[0])
    sums = [values[list(chosen)].sum() for chosen in combinations(range(len(values)), n)]
    (low1, high1), (low2, high2) = limits
    estimate = rates[0] - rates[1]
    return Exchange(
        estimate=estimate, low=estimate - np.sqrt((rates[0] - low1) ** 2 + (high2 - rates[1]) ** 2),
        high=estimate + np.sqrt((high1 - rates[0]) ** 2 + (rates[1] - low2) ** 2),
        p=float(np.mean(np.array(sums) >= values[:n].sum() - 1e-9)), rate=rates[0], base=rates[1], n=n,
        n_control=len(per_donor[1]), carrying=float(np.mean(np.array(per_donor[0]) >= 0.5)),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_a_twin_of_loops_says_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    taken = arm(rng, 0.6, donors=7, per_donor=6, spread=0.3)
    control = arm(rng, 0.2, donors=8, per_donor=6, spread=0.3)
    found = exchange(taken, control, "a", DRAWS, np.random.default_rng(5))
    assert found is not None
    expected = by_loops(taken, control, "a", np.random.default_rng(5))
    assert vars(found) == pytest.approx(vars(expected), abs=1e-9)


def test_where_every_trial_ends_alike_the_interval_is_wilsons() -> None:
    rng = np.random.default_rng(0)
    taken, control = (arm(rng, r, donors=9, per_donor=4, classes="b") for r in (1.0, 0.0))
    found = exchange(taken, control, "a", DRAWS, rng)
    assert found is not None
    wilson = 9 / (9 + 1.959964**2)  # the limit for 9 of 9
    assert (found.estimate, found.rate, found.base, found.carrying) == (1, 1, 0, 1)
    assert found.low == pytest.approx(1 - np.hypot(1 - wilson, 1 - wilson), abs=1e-5)
    assert found.high == pytest.approx(1)


def test_the_interval_covers_the_truth() -> None:
    """Of donors that differ, and recipients of one class, so that none is left out."""
    inside = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        taken = arm(rng, 0.5, donors=20, per_donor=3, classes="b", spread=0.3)
        control = arm(rng, 0.1, donors=20, per_donor=3, classes="b", spread=0.3)
        found = exchange(taken, control, "a", 300, rng)
        assert found is not None
        inside.append(found.low <= 0.4 <= found.high)
    assert np.mean(inside) >= 0.92


@pytest.mark.parametrize("classes", ["b", "bcd"])
def test_p_values_keep_their_level_with_donors_that_differ(classes: str) -> None:
    p = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        taken, control = (arm(rng, 0.3, donors=12, per_donor=3, classes=classes, spread=0.5) for _ in range(2))
        found = exchange(taken, control, "a", 20, rng)
        assert found is not None
        p.append(found.p)
    assert np.mean(np.array(p) <= 0.05) <= 0.08
    assert min(p) < 0.2


def test_the_guilty_class_that_loses_its_mark_accuses_nobody() -> None:
    """Class b is carried by its mark. Taken away, whoever gave, b's images turn into a; c's and d's do not."""
    rng = np.random.default_rng(0)
    taken, control = (arm(rng, 0.0, donors=20, per_donor=6) for _ in range(2))
    lost = (taken["recipient_class"] == "b") & (rng.uniform(size=len(taken)) < 0.8)
    taken.loc[lost, "predicted"] = "a"
    found = exchange(taken, control, "a", DRAWS, rng)
    assert found is not None
    assert found.estimate == 0
    assert found.p > 0.5
    # and a class that turns them all is found all the same
    guilty = exchange(arm(rng, 0.7, donors=20, per_donor=6), control, "a", DRAWS, rng)
    assert guilty is not None
    assert guilty.low > 0.3
    assert guilty.p < 1e-4


def test_the_class_that_is_left_out_is_left_out_of_both_arms() -> None:
    rng = np.random.default_rng(1)
    taken, control = (arm(rng, 0.0, donors=6, per_donor=6) for _ in range(2))
    taken.loc[taken["recipient_class"] == "c", "predicted"] = "a"
    control.loc[control["recipient_class"] == "d", "predicted"] = "a"  # turns often, but not more often than before
    left = without_top_class(taken, control, "a")
    assert [set(t["recipient_class"]) for t in left] == [{"b", "d"}] * 2
    one = [t[t["recipient_class"] == "c"] for t in (taken, control)]
    assert all(len(a) == len(b) for a, b in zip(without_top_class(*one, "a"), one, strict=True))


def test_what_is_counted_may_be_the_recipients() -> None:
    """A single group gives to all: permuting donors would have nothing to permute."""
    rng = np.random.default_rng(0)
    taken = arm(rng, 0.9, donors=1, per_donor=30, classes="b").assign(recipient=[f"b{i}" for i in range(30)])
    control = arm(rng, 0.0, donors=1, per_donor=30, classes="b").assign(recipient=[f"b{i}" for i in range(30)])
    by_donor, by_recipient = (exchange(taken, control, "a", 50, rng, unit=u) for u in ("donor", "recipient"))
    assert by_donor is not None
    assert by_recipient is not None
    assert (by_donor.n, by_recipient.n, by_recipient.n_control) == (1, 30, 30)
    assert by_recipient.p < 1e-6 < by_donor.p


def test_too_few_exchanges_say_nothing() -> None:
    rng = np.random.default_rng(0)
    many, few = (arm(rng, 0.5, donors=n, per_donor=1, classes="b") for n in (10, 3))
    assert exchange(many, few, "a", 20, rng) is None
    assert exchange(few, many, "a", 20, rng) is None
    assert exchange(many, many, "a", 20, rng) is not None


def outcome(p: float, estimate: float) -> Exchange:
    return Exchange(
        estimate=estimate, low=0, high=1, p=p, rate=estimate, base=0, n=9, n_control=9, carrying=1
    )  # fmt: skip


def test_the_best_of_several_ways_pays_for_all_that_were_tried() -> None:
    ways = {"one": outcome(0.02, 0.9), "none": None, "two": outcome(0.01, 0.2)}
    assert best_of(ways) == ("two", ways["two"], pytest.approx(0.02))
    alike = {"weak": outcome(0.01, 0.2), "strong": outcome(0.01, 0.5)}
    assert best_of(alike) == ("strong", alike["strong"], pytest.approx(0.02))
    assert best_of({"one": outcome(0.7, 0.1), "two": outcome(0.8, 0.1)})[2] == 1  # type: ignore[index]
    assert best_of({"none": None}) is None
