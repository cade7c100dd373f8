from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd

from pipeline.report.reading import by_signal, class_rows, class_verdicts, deciding, detail, model_verdict, pictures_of


def test_most_serious_class_first(realistic):
    states = [v.state for v in class_verdicts(realistic.findings[0])]
    assert states == ["SHORTCUT", "CONTEXT", "INCONCLUSIVE", "CLEAR", "CLEAR"]


def test_within_a_state_the_largest_effect_first(realistic):
    findings = realistic.findings[1]
    signal = deciding(findings)[0]
    effects = {e.class_name: e.estimate for e in findings.evidence if e.signal == signal}
    clear = [effects[v.scope] for v in class_verdicts(findings) if v.state == "CLEAR"]
    assert clear == sorted(clear, reverse=True)


def test_leads_do_not_decide(realistic):
    assert deciding(realistic.findings[0]) == ["object_removed", "outside_transplant", "place:1"]
    found = set(by_signal(realistic.findings[0].evidence))
    assert found == {"object_removed", "outside_transplant", "place:1", "outside_share"}


def test_a_class_without_evidence_comes_last_in_its_state(realistic):
    findings = replace(realistic.findings[1], evidence=realistic.findings[1].evidence[1:])
    assert class_verdicts(findings)[-1].scope == "horse"


def test_nothing_judged_is_inconclusive(empty):
    assert model_verdict(replace(empty.findings[0], verdicts=())).state == "INCONCLUSIVE"


def test_details_that_are_no_numbers_are_missing(realistic):
    evidence = replace(realistic.findings[0].evidence[0], details={"gate": "none", "q": 0.1})
    assert math.isnan(detail(evidence, "gate"))
    assert math.isnan(detail(evidence, "absent"))
    assert detail(evidence, "q") == 0.1


def test_each_model_has_its_own_pictures(realistic):
    first, second = (pictures_of(realistic, f) for f in realistic.findings)
    assert len(first) + len(second) == len(realistic.pictures)
    assert set(first["model"]) == {"watermark_cnn"}


def test_an_empty_table_has_no_classes():
    assert class_rows(pd.DataFrame()) == {}
