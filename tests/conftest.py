"""Fixtures that many rooms share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from pipeline.config import packaged

# Tests run in two processes: threads that wait for one another's cores would take most of the time.
torch.set_num_threads(1)
hypothesis.settings.register_profile("patient", deadline=None)  # no test is about time
hypothesis.settings.load_profile("patient")

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture
def composed() -> Iterator[Callable[..., DictConfig]]:
    """Composes the packaged configuration with overrides, as the command line does."""
    with initialize_config_dir(str(packaged("conf")), version_base="1.3"):
        yield lambda *overrides: compose("config", list(overrides))


@pytest.fixture
def shared_data() -> Path:
    """The real photographs beside the checkout; tests that need them skip where they are not."""
    if not SHARED.is_dir():
        pytest.skip("needs the real photographs in ../shared/data")
    return SHARED
