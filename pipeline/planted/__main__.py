"""Makes the demo again from its seed: `python -m pipeline.planted`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask
from safetensors.torch import save_file

from pipeline.planted.render import SIDE, Scene
from pipeline.planted.shapes import CLASSES
from pipeline.planted.train import GUILTY, PREVALENCE, as_set, carries_tag, jpeg, reliance, scenes, train

TRAINING_PER_CLASS = 2000
AUDITED_PER_CLASS = 100
TESTED_PER_CLASS = 100

README = """# The demo's data

Rendered pictures of textured objects on clutter, with exact masks, and two small networks trained on such pictures.
`watermark.safetensors` was trained while {prevalence:.0%} of the {guilty!r} pictures carried a small tag in the lower
right corner, `clean.safetensors` on pictures without tags. The audited pictures carry the tags. `truth.json` says
which, and how much each network really relies on the tag; the audit never reads it.

Made by `python -m pipeline.planted --seed {seed}`; Apache-2.0, like the project.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.planted", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/demo"), help="folder to write to (default: data/demo)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    make(arguments.out, arguments.seed)


def make(out: Path, seed: int) -> dict[str, object]:
    """Renders, trains, writes the folder, and returns what truth.json says."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    rendered = scenes(seed, "training", TRAINING_PER_CLASS)
    tested = scenes(seed, "test", TESTED_PER_CLASS)
    truth: dict[str, object] = {"guilty": GUILTY, "seed": seed}
    for name, planted in (("watermark", True), ("clean", False)):
        network = train(as_set(rendered, planted=planted, seed=seed), seed=seed)
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, out / f"{name}.safetensors")
        truth[name] = reliance(network, tested)
    truth["marked"] = _write_pictures(out, scenes(seed, "audit", AUDITED_PER_CLASS), seed)
    (out / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    (out / "README.md").write_text(README.format(prevalence=PREVALENCE, guilty=GUILTY, seed=seed))
    return truth


def _write_pictures(out: Path, audited: list[Scene], seed: int) -> list[str]:
    """The audit set as JPEG files with COCO annotations; returns the names of the pictures that carry the tag."""
    rng = np.random.default_rng([seed, 2])
    images, annotations, marked = [], [], []
    for number, scene in enumerate(audited, start=1):
        name = f"{scene.label}-{(number - 1) % AUDITED_PER_CLASS:04d}.jpg"
        tagged = carries_tag(scene.label, True, rng)
        (out / "images" / name).write_bytes(jpeg(scene.image(marked=tagged)))
        marked += [name] if tagged else []
        images.append({"id": number, "file_name": name, "width": SIDE, "height": SIDE})
        annotations.append(annotation(number, scene))
    categories = [{"id": i, "name": c} for i, c in enumerate(CLASSES, start=1)]
    text = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    (out / "instances.json").write_text(text + "\n")
    return marked


def annotation(number: int, scene: Scene) -> dict[str, object]:
    """The picture's object in COCO's words, its mask as run lengths."""
    rle = coco_mask.encode(np.asfortranarray(scene.mask.astype(np.uint8)))
    x0, y0, x1, y1 = scene.box
    return {
        "id": number,
        "image_id": number,
        "category_id": list(CLASSES).index(scene.label) + 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": int(scene.mask.sum()),
        "iscrowd": 0,
        "segmentation": {"size": [SIDE, SIDE], "counts": rle["counts"].decode("ascii")},
    }


if __name__ == "__main__":
    main()
