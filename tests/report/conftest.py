"""The results that the report's tests share; made once, never changed."""

from __future__ import annotations

import pytest

from tests.report import fake_results


@pytest.fixture(scope="session")
def report_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="session")
def realistic(report_folder):
    return fake_results.realistic(report_folder, per_class=12)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    return fake_results.hostile(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def empty():
    return fake_results.empty()
