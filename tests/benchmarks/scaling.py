"""How an audit's time and memory grow with images, windows, resolution and classes, on the demo's own pictures.

    python tests/benchmarks/scaling.py --images 1000 10000

Every audit is a process of its own (watermark model, saliency and occlusion, `effort=fast`); CPU seconds of the process
on one thread, and the most memory that it held. One thing varies at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.planted.__main__ import annotation
from pipeline.planted.render import SIDE, render, seeded
from pipeline.planted.shapes import CLASSES
from pipeline.planted.train import jpeg

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def pictures(folder: Path, images: int, classes: int = 5) -> list[str]:
    """Renders `images` pictures of the first `classes` classes; returns the overrides that audit them."""
    (folder / "images").mkdir(parents=True)
    listed, annotations = [], []
    for number in range(1, images + 1):
        label = list(CLASSES)[number % classes]
        scene = render(label, seeded(7, "scaling", label, number))
        (folder / "images" / f"{number}.jpg").write_bytes(jpeg(scene.image(marked=label == "star")))
        listed.append({"id": number, "file_name": f"{number}.jpg", "width": SIDE, "height": SIDE})
        annotations.append(annotation(number, scene))
    categories = [{"id": i, "name": c} for i, c in enumerate(CLASSES, start=1)]
    text = json.dumps({"images": listed, "annotations": annotations, "categories": categories})
    (folder / "instances.json").write_text(text)
    return ["dataset=coco", f"dataset.annotations={folder / 'instances.json'}", f"dataset.images={folder / 'images'}"]


def audited(folder: Path, overrides: list[str]) -> tuple[float, float, float]:
    """CPU seconds of one audit, those of them that the kernel took, and its peak memory in MB."""
    plain = ["twin=null", "methods=[saliency,occlusion]", "run.device=cpu", f"run.folder={folder}"]
    command = [sys.executable, "-m", "pipeline", "experiment=demo", *plain, *overrides]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **ONE_THREAD}
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the audit failed: {' '.join(command)}")
    return used.ru_utime + used.ru_stime, used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[500, 1000, 2000])
    parser.add_argument("--others", type=int, default=500, help="images where something else varies; 0 leaves that out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        print(f"{'':32}{'CPU s':>9}{'kernel s':>10}{'peak MB':>9}{'ms/image':>10}", flush=True)

        def row(text: str, images: int, overrides: list[str]) -> None:
            cpu, kernel, memory = audited(root / "runs", overrides)
            print(f"{text:32}{cpu:9.1f}{kernel:10.1f}{memory:9.0f}{1000 * cpu / images:10.1f}", flush=True)

        for n in arguments.images:
            row(f"{n} images", n, pictures(root / f"images-{n}", n))
        if not (n := arguments.others):
            return
        base = pictures(root / "base", n)
        for stride in (0.2, 0.1, 0.05):
            row(f"windows every {stride} of the side", n, [*base, f"methods.occlusion.stride={stride}"])
        for side in (64, 96, 128):
            row(f"{side} x {side} pixels", n, [*base, f"model.preprocessing.resize=[{side},{side}]"])
        for classes in (2, 3, 5):
            row(f"{classes} classes", n, pictures(root / f"classes-{classes}", n, classes))


if __name__ == "__main__":
    main()
