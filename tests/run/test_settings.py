"""Run settings refuse what cannot work, and say what would."""

import pytest
import torch

from pipeline.run.settings import RunSettings

GOOD = {
    "name": "x",
    "folder": "reports",
    "device": "cpu",
    "batch_size": 4,
    "workers": 1,
    "seed": 0,
    "target": "predicted",
    "min_visible": 0.25,
}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", "a/b", "`name` must be a plain folder name"),
        ("name", "", "`name` must be a plain folder name"),
        ("name", "..", "`name` must be a plain folder name"),
        ("batch_size", 0, "`batch_size` must be 1 or more"),
        ("workers", 0, "`workers` must be 1 or more"),
        ("seed", -1, "`seed` must be 0 or more"),
        ("min_visible", 1.5, "`min_visible` must lie in"),
        ("device", "warp", "`device` must be auto, cpu, cuda"),
        ("device", "meta", "`device` must be auto, cpu, cuda"),
        ("device", "cuda:97", "this machine has .* CUDA devices .* give run.device=cpu"),
    ],
)
def test_wrong_settings(key: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RunSettings(**(GOOD | {key: value}))  # type: ignore[arg-type]


def test_a_gpu_asked_for_and_absent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="has 0 CUDA devices"):
        RunSettings(**(GOOD | {"device": "cuda"}))  # type: ignore[arg-type]
    assert RunSettings(**(GOOD | {"device": "auto"})).torch_device() == torch.device("cpu")  # type: ignore[arg-type]
