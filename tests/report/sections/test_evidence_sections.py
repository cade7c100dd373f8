"""The sections about the evidence: error rates, spike-in, data, company, groups; with numbers that they were given."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import beta

from pipeline import reasons
from pipeline.passes.spike import COLUMNS
from pipeline.report.render import words
from pipeline.report.sections.clusters import ClustersSection
from pipeline.report.sections.companions import CompanionsSection
from pipeline.report.sections.data_probe import DataProbeSection
from pipeline.report.sections.error_rates import ErrorRatesSection, nearest
from pipeline.report.sections.methods import MethodsSection
from pipeline.report.sections.spike_in import SpikeInSection, detection_cells, trials_needed
from pipeline.run.stored import store, stored
from pipeline.types import Evidence, Results
from tests.report.markup import parse

BAD = "<script>alert(1)</script>"


def lead(signal: str, estimate: float, p: float = float("nan"), **details: float | str) -> Evidence:
    return Evidence(
        signal=signal,
        class_name=BAD,
        estimate=estimate,
        low=estimate - 0.1,
        high=estimate + 0.1,
        unit="share",
        p_value=p,
        n=50,
        n_others=50,
        detectable=float("nan"),
        role="lead",
        version=1,
        details=details,
    )


def with_evidence(results: Results, *evidence: Evidence) -> Results:
    return replace(results, findings=(replace(results.findings[0], evidence=evidence),))


def spikes(rows: list[tuple[float, float, bool]]) -> pd.DataFrame:
    made = [("star", "top left", s, p, 5, 100, 0.4, "SHORTCUT" if d else "CLEAR", d, 1.0) for s, p, d in rows]
    return pd.DataFrame(made, columns=COLUMNS)


def test_the_row_of_the_nearest_smaller_number_of_images_applies() -> None:
    assert nearest([40, 150], 100) == 40
    assert nearest([40, 150], 150) == 150
    assert nearest([40, 150], 20) is None


def test_error_rates_come_from_the_table_that_was_named(realistic: Results, tmp_path: Path) -> None:
    rate = {"measure": "false alarms, clean", "value": 0.025, "low": 0.001, "high": 0.132, "n": 40, "target": ""}
    row = {
        "n": 10,
        "low_reliance": 0.5,
        "high_reliance": 0.7,
        "models": 20,
        "detected": 0.85,
        "noticed": 0.9,
        "rate_low": 0.62,
        "rate_high": 0.97,
    }
    file = tmp_path / "rates.json"
    file.write_text(json.dumps({"models": 60, "planted": 20, "rates": [rate], "detection": [row]}))
    text = parse(ErrorRatesSection(table=str(file))(realistic)).words
    assert "60 small image classifiers" in text
    assert "2.5" in text
    assert "85" in text


def test_the_packaged_table_is_read(realistic: Results) -> None:
    assert "false alarms, clean" in parse(ErrorRatesSection(table=None)(realistic)).words


def test_every_guard_has_its_meaning(realistic: Results) -> None:
    text = parse(MethodsSection()(realistic)).words
    legend = text[text.index("What the guards mean") :]
    for guard in (*reasons.GUARDS, "annotation", "two_classes"):
        assert words(guard).capitalize() in legend


def test_the_limit_of_detection_is_the_rarest_mark_whose_bound_is_above_the_level(realistic: Results) -> None:
    made = [*[(4, 0.2, True)] * 4, *[(2, 0.5, True)] * 6, *[(1, 0.5, True)] * 5, *[(2, 1.0, True)] * 9]
    made += [(1, 0.2, True)] * 6 + [(1, 0.2, False)] * 3
    trials = replace(realistic, spikes=spikes(made))
    text = parse(SpikeInSection(level=0.5)(trials)).words
    assert "adds 1 to the logit in 50\u202f% of the images" in text  # 4 of 4 at 20 % are not enough, nor 6 of 9
    assert "5 of 5 trials, so with a probability of at least 55\u202f%" in text
    assert "adds 2 to the logit in 100\u202f%" in parse(SpikeInSection(level=0.7)(trials)).words
    cells = {(c["strength"], c["prevalence"]): c for c in detection_cells(trials.spikes)}
    assert cells[2.0, 0.5]["at_least"] == pytest.approx(0.05 ** (1 / 6))  # exact bound after n of n
    assert cells[1.0, 0.2]["at_least"] == pytest.approx(beta.ppf(0.05, 6, 4))


def test_too_few_trials_claim_nothing_and_say_how_many_it_takes(realistic: Results) -> None:
    few = replace(realistic, spikes=spikes([(4, 0.2, True), (4, 0.2, True), (2, 0.5, True)]))
    text = parse(SpikeInSection(level=0.5)(few)).words
    assert "this audit finds" not in text
    assert "takes 5 trials of one strength and prevalence if all are found" in text
    assert "2 at most were made" in text
    assert "spike_in.seconds" in text
    missed = replace(realistic, spikes=spikes([(4, 0.2, False)] * 9))
    assert "spike_in.seconds" not in parse(SpikeInSection(level=0.5)(missed)).words


@pytest.mark.parametrize("level", [0.05, 0.3, 0.5, 0.8, 0.95])
def test_the_trials_needed_are_the_fewest_whose_bound_is_above_the_level(level: float) -> None:
    n = trials_needed(level)
    bounds = [c["at_least"] for m in (n, n - 1) if m for c in detection_cells(spikes([(1, 1, True)] * m))]
    assert bounds[0] > level
    assert all(bound <= level + 1e-12 for bound in bounds[1:])


def test_nothing_planted_is_told_from_nothing_asked_for_also_when_read_back(realistic: Results, tmp_path: Path) -> None:
    section = SpikeInSection(level=0.5)
    assert "Not asked for" in section(replace(realistic, spikes=None))
    store(replace(realistic, spikes=spikes([])), tmp_path)
    assert "every class is already accused" in section(stored(tmp_path))


def test_a_level_that_no_bound_can_pass_is_refused() -> None:
    with pytest.raises(ValueError, match="`level` must lie between 0 and 1"):
        SpikeInSection(level=1.0)


def test_the_data_section_says_that_it_is_about_the_data(realistic: Results) -> None:
    telling = lead(
        "data_probe",
        0.9,
        0.002,
        property_auroc=0.88,
        property_words="brighter",
        most_typical=BAD,
        least_typical="b",
    )
    html = DataProbeSection(limit=10, alpha=0.01)(with_evidence(realistic, telling))
    assert "its images are brighter" in parse(html).words
    assert BAD not in html
    assert "do not tell the classes apart" in DataProbeSection(limit=10, alpha=0.001)(with_evidence(realistic, telling))


def company(estimate: float, category: str) -> Evidence:
    """Hiding the category changes `estimate` more than hiding elsewhere; the interval ends 10 points from it."""
    shares = {"changed": estimate + 0.08, "changed_elsewhere": 0.08, "hidden_area": 0.031, "control_area": 0.029}
    return lead(f"companions:{category}", estimate, category=category, attribution_share=0.2, area_share=0.1, **shares)


def test_company_is_ranked_by_the_difference_and_only_told_where_the_interval_is_above_0(realistic: Results) -> None:
    busy = replace(company(0.2, "crowd"), low=-0.3, high=0.7)  # changes most, with few images
    given = with_evidence(realistic, company(0.05, "cup"), busy, company(0.15, "fork"), company(-0.3, "sky"))
    document = parse(CompanionsSection(limit=5)(given)).words
    assert "23\u202f% of the images when fork is hidden" in document
    assert "more of the" not in document
    table = document[document.index("Class") :]
    assert table.index("fork") < table.index("crowd") < table.index("cup") < table.index("sky")
    assert table.count("not told apart") == 2
    assert "yes, less than elsewhere" in table
    assert "3.1\u202f%, 2.9\u202f%" in table


def test_company_whose_intervals_hold_0_is_no_finding(realistic: Results) -> None:
    undefined = replace(lead("companions:sky", float("nan"), category="sky", undefined="no image"), n=0)
    html = CompanionsSection(limit=5)(with_evidence(realistic, company(0.05, "cup"), undefined))
    text = parse(html).words
    assert "In none of the 1 pairs" in text
    assert "prediction changes in" not in text
    assert "1 could not be tested" in text


def test_company_and_groups_escape_what_data_call_them(realistic: Results) -> None:
    html = CompanionsSection(limit=5)(with_evidence(realistic, company(0.55, BAD)))
    assert BAD not in html
    assert "63\u202f% of the images" in parse(html).words
    grid = " ".join(["0.01"] * 64)
    groups = {
        f"{k}:{i}": v
        for i in (0, 1)
        for k, v in (("size", 20.0), ("outside_share", 0.4), ("exemplars", BAD), ("mean_map", grid))
    }
    html = ClustersSection(limit=5)(
        with_evidence(realistic, lead("attribution_clusters", 2.0, eigenvalue_ratio=4.0, **groups))
    )
    assert BAD not in html
    assert html.count("<svg") == 2
    assert "explained alike" in ClustersSection(limit=5)(with_evidence(realistic, lead("attribution_clusters", 1.0)))
