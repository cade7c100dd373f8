"""The wheel: brings its configuration and demo along, and runs from anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, text=True)
    return next(folder.glob("shortcut_audit-*.whl"))


def test_the_wheel_holds_what_a_run_needs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        "pipeline/conf/config.yaml",
        "pipeline/conf/experiment/demo.yaml",
        "pipeline/data/demo/instances.json",
        "pipeline/data/demo/watermark.safetensors",
        "pipeline/data/demo/clean.safetensors",
        "pipeline/run/summary.schema.json",
    ):
        assert needed in names
    assert not {n.split("/")[0] for n in names if not n.startswith("shortcut_audit-")} - {"pipeline"}
    assert wheel.stat().st_size < 8e6


@pytest.mark.slow
def test_the_installed_wheel_runs_from_elsewhere(wheel: Path, tmp_path: Path) -> None:
    """In a fresh environment that borrows this one's libraries; a hostile working folder must not get in the way."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    site = next(home.glob("lib/python*/site-packages"))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, text=True)
    borrowed = [p for p in sys.path if p.endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed))
    work = tmp_path / "elsewhere"
    (work / "conf").mkdir(parents=True)
    (work / "conf" / "__init__.py").write_text("raise RuntimeError('the wrong conf')")
    command = [str(home / "bin" / "python"), "-P", "-m", "pipeline", "methods=[saliency]", "run.workers=1"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    report = Path(done.stdout.strip().splitlines()[-1].removeprefix("report: "))
    assert report.is_relative_to(work)
    assert report.is_file()
    assert str(home) in (report.parents[1] / "config.yaml").read_text()
