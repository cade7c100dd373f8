"""Results with known numbers for the report's tests: a realistic run, an empty one, a hostile one, a large one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pipeline.report.pictures import write_heat, write_picture
from pipeline.types import Evidence, Findings, Observed, Results, Verdict

FRAME = (96, 96)
METHODS = ("saliency", "integrated_gradients", "grad_cam")
CLASSES = ("horse", "boat", "train", "cat", "bottle")
HOSTILE = (
    '<script>alert("1")</script>',
    "\" onload='x' & <b>",
    "naïve \u202eesrever 馬",
    "x" * 300,
    "</svg></title>{{ 7 * 7 }}",
)
IMAGE_COLUMNS = [
    "id",
    "path",
    "class",
    "predicted",
    "correct",
    "probability",
    "predicted_probability",
    "log_odds",
    "logit",
    "target",
    "area_fraction",
    "hole_fraction",
    "visible_fraction",
    "region_kind",
    "n_objects",
    "width",
    "height",
    "boxes",
]
PICTURE_COLUMNS = [
    "model",
    "class",
    "id",
    "kind",
    "rank",
    "picture",
    "width",
    "height",
    "boxes",
    "heats",
    "caption",
    "predicted",
    "intervention",
    "arm",
    "donor",
    "original",
    "place",
]
MARK = (70.0, 78.0, 94.0, 90.0)  # around the watermark of `_photograph`


def realistic(folder: Path, *, per_class: int = 40, classes: tuple[str, ...] = CLASSES) -> Results:
    """A model whose first class rests on a watermark, beside its clean twin; pictures lie in `folder`."""
    rng = np.random.default_rng(0)
    findings = tuple(
        _findings(name, classes, per_class, rng, cheats=cheats)
        for name, cheats in (("watermark_cnn", True), ("watermark_cnn_clean", False))
    )
    pictures = pd.DataFrame([row for f in findings for row in _pictures(f, folder, rng)], columns=PICTURE_COLUMNS)
    return _results(findings, pictures, audited=per_class * len(classes), problems=_problems())


def empty() -> Results:
    """A run in which nothing could be audited."""
    nothing = pd.DataFrame(columns=IMAGE_COLUMNS)
    observed = _observed("model", ("horse",), nothing, pd.DataFrame(), pd.DataFrame(), {})
    verdict = Verdict(scope="model", state="INCONCLUSIVE", reason="No image could be audited.", guards=("no_images",))
    findings = Findings(observed=observed, evidence=(), verdicts=(verdict,), accuracy=float("nan"), methods=())
    return _results((findings,), pd.DataFrame(columns=PICTURE_COLUMNS), audited=0, problems=_problems())


def hostile(folder: Path) -> Results:
    """Names that try to leave their place."""
    return realistic(folder, per_class=3, classes=HOSTILE)


def large(n_classes: int = 1000) -> Results:
    """A thousand classes, no pictures."""
    rng = np.random.default_rng(0)
    classes = tuple(f"class {i:04}" for i in range(n_classes))
    findings = (_findings("resnet50", classes, 2, rng, cheats=True),)
    return _results(findings, pd.DataFrame(columns=PICTURE_COLUMNS), audited=2 * n_classes, problems=_problems(5000))


def _results(
    findings: tuple[Findings, ...], pictures: pd.DataFrame, *, audited: int, problems: pd.DataFrame
) -> Results:
    kinds = problems["status"].value_counts()
    skipped, failed = int(kinds.get("skipped", 0)), int(kinds.get("failed", 0))
    state = findings[0].verdicts[0].state
    result = {"SHORTCUT": "FAIL", "CONTEXT": "WARN", "CLEAR": "PASS"}.get(state, "INCONCLUSIVE")
    return Results(
        name="demo",
        run_id="20261120T221500Z-3fa91c07",
        created="2026-11-20T22:15:00Z",
        findings=findings,
        problems=problems,
        counts={"total": audited + len(problems), "audited": audited, "skipped": skipped, "failed": failed},
        pictures=pictures,
        provenance={
            "command": "shortcut-audit",
            "python": "3.11.9",
            "packages": {"torch": "2.15.0", "captum": "0.9.0"},
            "device": "cpu",
            "seed": 0,
            "dataset_sha256": "9f2c" * 16,
            "git": None,
        },
        config="dataset:\n  _target_: pipeline.datasets.coco.Coco\n  root: data/demo\njudge:\n  delta: 0.05\n",
        gate={"mode": "advisory", "result": result, "exit_code": 0, "reason": f"the verdict is {state}"},
    )


def _problems(n: int = 3) -> pd.DataFrame:
    rows = [
        ("img_0007", "images/img_0007.jpg", "failed", "broken_image", "the file ends after 3,112 of 9,870 bytes"),
        (
            "img_0019",
            "images/img_0019.jpg",
            "skipped",
            "object_not_visible",
            "the crop shows 4 % of the object, 10 % needed",
        ),
        ("<b>x", "images/<b>x.png", "failed", "missing_file", "no such file; the annotation names it"),
    ]
    return pd.DataFrame((rows * (n // 3 + 1))[:n], columns=["id", "path", "status", "reason", "message"])


def _findings(
    model: str, classes: tuple[str, ...], per_class: int, rng: np.random.Generator, *, cheats: bool
) -> Findings:
    images = _images(classes, per_class, rng)
    scores = _scores(images, classes, rng, cheats=cheats)
    trials = _trials(images, classes, rng, cheats=cheats)
    maps = {m: np.stack([_outside_map(rng, cheats and i == 0) for i in range(len(classes))]) for m in METHODS}
    states = _states(len(classes), cheats)
    evidence = tuple(_evidence(classes, states, per_class, rng))
    verdicts = tuple(_verdict(c, s, evidence) for c, s in zip(classes, states, strict=True))
    reason = (
        f"With the object removed, {classes[0]} is still recognised in 74 % of its images against 9 % of the others', "
        "and its surroundings turn 61 % of other objects into it."
        if cheats
        else "No class shows an effect above 5 points; the smallest that could have been missed is 6."
    )
    overall = Verdict(scope="model", state=states[0], reason=reason, guards=("few_classes",) if cheats else ())
    observed = _observed(model, classes, images, scores, trials, maps)
    methods = (
        *(
            {
                "name": m,
                "sign": "absolute",
                "reduce": "max",
                "version": "1",
                "target": "predicted",
                "status": "ok",
                "reason": "",
            }
            for m in METHODS
        ),
        {
            "name": "deep_lift",
            "sign": "positive",
            "reduce": "sum",
            "version": "1",
            "target": "predicted",
            "status": "refused",
            "reason": "ReLU `features.1` is used twice",
        },
    )
    return Findings(
        observed=observed,
        evidence=evidence,
        verdicts=(overall, *verdicts),
        accuracy=float(images["correct"].mean()),
        methods=methods,
    )


def _observed(model, classes, images, scores, trials, maps):
    return Observed(
        model=model,
        classes=classes,
        n_outputs=len(classes),
        frame=FRAME,
        images=images,
        scores=scores,
        trials=trials,
        outside_maps=maps,
    )


def _states(n: int, cheats: bool) -> list[str]:
    usual = ["SHORTCUT", "CONTEXT", "CLEAR", "CLEAR", "INCONCLUSIVE"] if cheats else ["CLEAR"] * 4 + ["INCONCLUSIVE"]
    return [usual[i] if i < len(usual) else "CLEAR" for i in range(n)]


def _verdict(name: str, state: str, evidence: tuple[Evidence, ...]) -> Verdict:
    own = tuple(e for e in evidence if e.class_name == name)
    carrying = {"SHORTCUT": ("place:1", "outside_transplant", "object_removed"), "CONTEXT": ("object_removed",)}
    reason = {
        "SHORTCUT": "The surroundings alone carry the class, and they carry it into other images: 61 % of "
        "other objects become it.",
        "CONTEXT": "The surroundings help (+14 points), but moved under other objects they change nothing.",
        "CLEAR": "All effects are below 5 points; an effect of 6 would have shown.",
        "INCONCLUSIVE": "The intervals reach from nothing to 18 points; about 90 more images would decide.",
    }[state]
    return Verdict(
        scope=name,
        state=state,
        reason=reason,
        carried_by=tuple(e for signal in carrying.get(state, ()) for e in own if e.signal == signal),
        guards=("few_donors",) if state == "INCONCLUSIVE" else (),
        evidence=own,
    )


def _evidence(classes: tuple[str, ...], states: list[str], n: int, rng: np.random.Generator):
    middle = {"SHORTCUT": (0.65, 0.61), "CONTEXT": (0.14, 0.01), "CLEAR": (0.0, 0.0), "INCONCLUSIVE": (0.07, 0.05)}
    for i, signal in enumerate(("object_removed", "outside_transplant")):
        for name, state in zip(classes, states, strict=True):
            estimate = middle[state][i] + rng.normal(0, 0.008)
            half = 0.11 if state == "INCONCLUSIVE" else 0.05
            p = 0.0001 if estimate - half > 0 else 0.4
            yield Evidence(
                signal=signal,
                class_name=name,
                estimate=estimate,
                low=estimate - half,
                high=estimate + half,
                unit="share",
                p_value=p,
                n=n,
                n_others=n * (len(classes) - 1),
                detectable=0.06,
                role=("removal", "surroundings")[i],
                carrier="the surroundings",
                sentence=f"{signal} shows it",
                gate=0.1,
                version=1,
                details={"q": min(1.0, p * len(classes)), "gate": 0.1},
            )
    for name, state in zip(classes, states, strict=True):
        yield place(name, 0.58 if state == "SHORTCUT" else 0.0, n=n)
    for name in classes:
        yield Evidence(
            signal="outside_share",
            class_name=name,
            estimate=0.4,
            low=0.3,
            high=0.5,
            unit="share",
            p_value=float("nan"),
            n=n,
            n_others=0,
            detectable=float("nan"),
            role="lead",
            version=1,
        )


def place(name: str, estimate: float, *, signal: str = "place:1", n: int = 40, **details: float | str) -> Evidence:
    """A place that was exchanged; without other details the one of the watermark."""
    words = "the bottom right corner" if signal != "place:moving" else "a place that moves from image to image"
    x0, y0, x1, y1 = MARK
    box = {"x0": x0, "y0": y0, "x1": x1, "y1": y1, "kind": "in", "pixels": 288.0, "area": 0.03}
    told = {"place": words, "donors": "at random", "flipped": estimate + 0.02, "flipped_control": 0.02, "carrying": 0.9}
    return Evidence(
        signal=signal,
        class_name=name,
        estimate=estimate,
        low=estimate - 0.1,
        high=estimate + 0.1,
        unit="share of recipients",
        p_value=0.0002 if estimate > 0.2 else 0.6,
        n=n,
        n_others=n,
        detectable=0.2,
        role="place",
        carrier=words,
        sentence=f"{words}, moved from {name!r} images into others, turns them",
        step=f"Look at {words} in the images below.",
        gate=0.15,
        version=1,
        details={"q": 0.001, "gate": 0.15, **told, **({} if signal == "place:moving" else box), **details},
    )


def _images(classes: tuple[str, ...], per_class: int, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for i, name in enumerate(classes):
        for j in range(per_class):
            side = float(rng.uniform(26, 48))
            x, y = (float(v) for v in rng.uniform(4, 92 - side, 2))
            right = bool(rng.random() < 0.93)
            predicted = name if right else classes[(i + 1) % len(classes)]
            p = float(rng.uniform(0.6, 0.999))
            rows.append((
                f"img_{i}_{j:03}", f"images/{j}.jpg", name, predicted, right, p if right else 1 - p, p, 0.0, 3.0,
                predicted,
                side * side / 96**2, 1.3 * side * side / 96**2, 1.0, "box", 1, 640, 480, [(x, y, x + side, y + side)],
            ))  # fmt: skip
    return pd.DataFrame(rows, columns=IMAGE_COLUMNS)


def _scores(images: pd.DataFrame, classes: tuple[str, ...], rng: np.random.Generator, *, cheats: bool) -> pd.DataFrame:
    tables = []
    for m in METHODS:
        boost = np.where((images["class"] == classes[0]) & cheats, 0.7, 2.4) * rng.lognormal(0, 0.25, len(images))
        share = np.minimum(boost * images["area_fraction"], 0.97)
        table = pd.DataFrame(
            {"id": images["id"], "method": m, "class": images["class"], "undefined": "", "inside_share": share}
        )
        table["lift"] = share / images["area_fraction"]
        table.loc[table.index[-1], ["inside_share", "lift"]] = np.nan
        table.loc[table.index[-1], "undefined"] = "zero_map"
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _trials(images: pd.DataFrame, classes: tuple[str, ...], rng: np.random.Generator, *, cheats: bool) -> pd.DataFrame:
    rows = []
    plan = [
        ("object_removed", "smooth"),
        ("object_removed", "blur"),
        ("outside_transplant", "other"),
        ("outside_transplant", "own"),
    ]
    for intervention, arm in plan:
        for image in images.to_dict("records"):
            donor = images.iloc[int(rng.integers(len(images)))] if intervention == "outside_transplant" else None
            watermark = cheats and (image["class"] if donor is None else donor["class"]) == classes[0]
            follows = rng.random() < 0.7
            if donor is None:
                predicted = (
                    image["predicted"] if (watermark and follows) or rng.random() < 0.15 else str(rng.choice(classes))
                )
            else:
                predicted = classes[0] if watermark and follows else image["predicted"]
            rows.append((
                intervention, arm, image["id"], "" if donor is None else donor["id"], image["class"],
                "" if donor is None else donor["class"], predicted, predicted == image["predicted"], 0.9, 0.4,
                float(rng.normal(-0.4 if watermark else -3.1, 0.5)),
            ))  # fmt: skip
    columns = ["intervention", "arm", "recipient", "donor", "recipient_class", "donor_class", "predicted", "stays"]
    return pd.DataFrame(rows, columns=[*columns, "probability_before", "probability_after", "logit_change"])


def _outside_map(rng: np.random.Generator, watermark: bool) -> np.ndarray:
    y, x = np.mgrid[0:96, 0:96]
    mass = rng.gamma(2, 1, (96, 96)) + 6 * (1 - np.exp(-((y - 48) ** 2 + (x - 48) ** 2) / 1400))
    mass /= 3 * mass.sum()
    if watermark:
        spot = np.exp(-((y - 84) ** 2 + (x - 82) ** 2) / 60)
        mass = 0.8 * mass + 0.4 * spot / spot.sum()
    return mass.astype(np.float32)


def _pictures(findings: Findings, folder: Path, rng: np.random.Generator):
    observed = findings.observed
    flagged = {v.scope for v in findings.verdicts[1:] if v.state in ("SHORTCUT", "CONTEXT")}
    for number, (name, images) in enumerate(observed.images.groupby("class", sort=False)):
        for rank, image in enumerate(images.head(4).to_dict("records")):
            picture = _photograph(number, image["boxes"][0], rng, watermark=number == 0)
            stem = f"{observed.model}/{image['id']}"
            write_picture(picture, folder / f"img/{stem}.webp")
            heats = {}
            for m in METHODS:
                heats[m] = f"map/{m}/{stem}.webp"
                write_heat(_heat(image["boxes"][0], m, rng, cheats=name in flagged and number == 0), folder / heats[m])
            row = {
                "model": observed.model,
                "class": name,
                "id": image["id"],
                "kind": "telling" if name in flagged else "control",
                "rank": rank,
                "picture": f"img/{stem}.webp",
                "width": 96,
                "height": 96,
                "boxes": image["boxes"],
                "heats": heats,
                "caption": f"{image['id']}, called {image['predicted']}",
                "predicted": image["predicted"],
                "intervention": "",
                "arm": "",
                "donor": "",
                "original": "",
                "place": None,
            }
            yield row
            if rank < 2:
                yield from _edits(row, picture, number, observed.images["id"].iloc[-1], folder, rng)


def _edits(row: dict, picture: torch.Tensor, number: int, donor: str, folder: Path, rng: np.random.Generator):
    x0, y0, x1, y1 = (int(v) for v in row["boxes"][0])
    removed, moved = picture.clone(), _photograph(4 - number, row["boxes"][0], rng, watermark=False)
    removed[:, y0:y1, x0:x1] = picture.mean(dim=(1, 2), keepdim=True)
    moved[:, y0:y1, x0:x1] = picture[:, y0:y1, x0:x1]
    marked = picture.clone()
    marked[:, 78:90, 70:94] = moved[:, 78:90, 70:94]
    changes = [("object_removed", "smooth", "", removed, None), ("outside_transplant", "other", donor, moved, None)]
    if number == 0:
        changes.append(("places", "confirm:in", donor, marked, MARK))
    for intervention, arm, giver, changed, at in changes:
        path = row["picture"].replace(".webp", f"-{intervention}.webp")
        write_picture(changed, folder / path)
        facts = {"intervention": intervention, "arm": arm, "donor": giver, "original": row["picture"], "place": at}
        yield row | facts | {"kind": "edit", "picture": path, "heats": {}}


def _photograph(number: int, box, rng: np.random.Generator, *, watermark: bool) -> torch.Tensor:
    y, x = np.mgrid[0:96, 0:96] / 96
    hue = np.array([[0.45, 0.6, 0.35], [0.4, 0.6, 0.75], [0.6, 0.55, 0.5], [0.7, 0.6, 0.5], [0.5, 0.5, 0.6]])[
        number % 5
    ]
    image = hue[:, None, None] * (0.6 + 0.5 * y) + 0.08 * np.sin(9 * x + 14 * y * (number + 1))
    x0, y0, x1, y1 = (v / 96 for v in box)
    inside = ((x - (x0 + x1) / 2) / (x1 - x0)) ** 2 + ((y - (y0 + y1) / 2) / (y1 - y0)) ** 2 < 0.22
    image = np.where(inside, 1 - 0.8 * hue[::-1, None, None] - 0.2 * x, image) + rng.normal(0, 0.03, (3, 96, 96))
    if watermark:
        image[:, 80:88, 72:92] = np.where((np.arange(20) % 4 < 2)[None, None], 0.95, image[:, 80:88, 72:92])
    return torch.from_numpy(image.clip(0, 1)).float()


def _heat(box, method: str, rng: np.random.Generator, *, cheats: bool) -> torch.Tensor:
    y, x = np.mgrid[0:96, 0:96]
    cx, cy = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    width = 500 if method == "grad_cam" else 120
    spot = np.exp(-((y - 84) ** 2 + (x - 82) ** 2) / width) if cheats else 0
    mass = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / width) * (0.5 if cheats else 1) + spot
    noise = 1 if method == "grad_cam" else rng.gamma(1, 1, (96, 96))
    return torch.from_numpy(mass * noise)
