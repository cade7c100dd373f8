"""The nouns of an audit, their shapes and units, and the one-verb protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:  # tables are pandas, but this module stays light to import
    import numpy as np
    import pandas as pd

# B images, H x W pixels of the model's input frame, K model outputs.
Images = Tensor  # (B, 3, H, W) float32, RGB in [0, 1], never normalised
Maps = Tensor  # (B, H, W) float32, attribution, any scale
Masks = Tensor  # (B, H, W) bool
Labels = Tensor  # (B,) int64, columns of the logits
Scores = Tensor  # (B,) float, NaN where undefined

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels, half-open
Companions = tuple[tuple[str, Box], ...]  # annotated objects of other classes in one image: class and box
Sign = Literal["positive", "absolute"]
State = Literal["SHORTCUT", "CONTEXT", "CLEAR", "INCONCLUSIVE"]
# What a piece of evidence is about, which is all that the judge's rules know of it:
# removal: the class is recognised without its object; surroundings: what is around its objects carries it to others;
# place: a part of the frame does; property: a look of the whole picture does (sharpness, compression, a shared layer);
# companion: other annotated objects do; lead: what localises and proposes, and never decides.
Role = Literal["removal", "surroundings", "place", "property", "companion", "lead"]


class AuditError(Exception):
    """The run cannot go on; the message says what is wrong and what to do (exit code 1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PngMask:
    """A mask stored as an image file of the photograph's size.

    `values` are the pixel values that belong to the object; None means every value but 0.
    """

    path: Path
    values: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RleMask:
    """A mask as COCO's compressed run lengths; polygons arrive as this too. `size` is (height, width)."""

    size: tuple[int, int]
    counts: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectRegion:
    """One annotated object: its class name, its box in pixels of the original file, its mask if there is one."""

    label: str
    box: Box
    mask: PngMask | RleMask | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One image to audit, as its annotation describes it; no pixels.

    `label` is the class whose objects are audited; `size` is the (width, height) that the annotation states.
    """

    id: str
    path: Path
    label: str
    objects: tuple[ObjectRegion, ...]
    size: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One image that is not audited, and why: a row of errors.csv.

    `skipped` means that nothing was wrong but there was nothing to audit; `failed` that something was broken.
    """

    id: str
    path: Path
    status: Literal["skipped", "failed"]
    reason: str  # short code, such as `broken_image` or `object_not_visible`
    message: str  # what was found, what was expected, what to do


@dataclass(frozen=True, kw_only=True)
class Example:
    """One decoded image in the model's input frame (H, W), on the host."""

    record: Record
    image: Tensor  # (3, H, W) uint8 RGB
    inside: Tensor  # (H, W) bool, union of the objects of the record's label
    others: Tensor  # (H, W) bool, annotated objects of other classes, without `inside`
    boxes: Tensor  # (n, 4) float32 xyxy, the audited objects' boxes, clipped to the frame
    visible_fraction: float  # share of the audited objects' area that the frame still shows
    region_kind: Literal["mask", "box"]
    original_size: tuple[int, int]  # (width, height) as decoded, upright
    companions: Companions = ()  # in the frame, those that it shows
    file_type: str = ""
    camera: str = ""  # EXIF make and model
    suspect: str = ""  # why its boxes may be wrong (datasets/checks.py)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B images of one frame with their regions, on one device."""

    ids: tuple[str, ...]
    images: Images
    labels: Labels
    inside: Masks
    others: Masks
    boxes: tuple[Tensor, ...]  # per image (n, 4) float32 xyxy
    companions: tuple[Companions, ...] = ()  # per image, where the store keeps them
    places: Tensor | None = None  # (B, 4) float32 xyxy, where a planned change goes, if the plan says so
    groups: tuple[int, ...] = ()  # per recipient the number of its donors' group, where a plan gives it several
    outlined: tuple[bool, ...] = ()  # per image, whether `inside` came from a mask; empty: all from boxes

    def __post_init__(self) -> None:
        n, _, height, width = self.images.shape
        same = {len(self.ids), n, len(self.labels), len(self.inside), len(self.others), len(self.boxes)}
        if len(same) != 1:
            raise ValueError(f"`Batch` expects equally many images, labels, masks and boxes, got {sorted(same)}")
        if self.inside.shape != (n, height, width) or self.inside.dtype != torch.bool:
            found = f"{self.inside.dtype} {tuple(self.inside.shape)}"
            raise ValueError(f"`inside` must be bool {(n, height, width)}, got {found}")

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`, its pixels as float32 in [0, 1]."""
        images = _sent(self.images, device)
        if images.dtype == torch.uint8:
            images = images.float() / 255
        return replace(
            self,
            images=images,
            labels=_sent(self.labels, device),
            inside=_sent(self.inside, device),
            others=_sent(self.others, device),
            boxes=_sent(torch.cat(self.boxes), device).split([len(b) for b in self.boxes]) if self.boxes else (),
            places=None if self.places is None else _sent(self.places, device),
        )


def _sent(values: Tensor, device: torch.device) -> Tensor:
    """On the device; to a GPU from pinned memory, so that the host does not wait for the copy."""
    if device.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Everything that the passes saw of one model, as tables; signals and sections read this and nothing else.

    `images`: one row per audited image. Columns: id, path, class, predicted, correct, probability (of `class`),
    predicted_probability, log_odds (of `class`), logit (of `class`), target (the class explained), area_fraction,
    hole_fraction (share of the frame that object removal fills), visible_fraction, region_kind, n_objects, width,
    height (of the original), file_type, camera, suspect (what speaks against the annotation, a code of
    datasets/checks.py, or ""), probe_<property> (see core/properties.py), boxes (list of xyxy in the frame), companions
    (of the frame, see Companions), frame (height, width), half (0 or 1, from the id), hotspots (list of xyxy: where
    attribution of the image's class gathers outside its objects, on the *other* half), peak (xyxy of the image's own
    strongest window outside its objects, or None), small_map ((16, 16) float16: shares of the attribution per cell of
    the frame, outside the objects, all methods together).
    `scores`: one row per image x method. Columns: id, method, class, undefined (reason code or ""), and one column
    per metric.
    `trials`: one row per changed image. Columns: intervention, arm, recipient, donor ("" where there is none),
    recipient_class, donor_class, predicted, stays (same prediction as before the change), probability_before,
    probability_after, logit_change (all three of the recipient's class), changed_fraction (share of the frame's
    pixels that differ), tested (the class that the trial is planned for, "" where it serves all), place (xyxy of a
    planned place, else None), spot (number of the hotspot, -1 where there is none), and `log_odds:<class>` (float32)
    for every audited class (of the changed image).
    `outside_maps`: method -> (C, H, W) float32, per audited class the mean, over its images, of the attribution
    outside the objects, each map first divided by its total mass so that every image counts the same.
    `references`: what inside shares are compared with, None where no references were made (see passes/refer.py).
    """

    model: str
    classes: tuple[str, ...]  # the audited classes, in the order of the dataset
    n_outputs: int  # classes that the model tells apart
    frame: tuple[int, int]  # (height, width) of the model's input
    images: pd.DataFrame
    scores: pd.DataFrame
    trials: pd.DataFrame
    outside_maps: Mapping[str, np.ndarray]
    references: pd.DataFrame | None = None
    suspect: Mapping[str, str] = field(
        default_factory=dict
    )  # class -> what speaks against its annotation, if much does


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A test's outcome for one class: estimate with interval, p-value, and what could have been seen.

    `role` says which of the judge's rules it comes under. `gate` is the smallest estimate that counts and `floor` what
    the interval's lower end must exceed; `sentence` says what was seen, to follow a verdict's colon, and `carrier`
    names what carries the class ("the bottom edge", "sharpness"); both are told only where the judge finds it to hold.
    `step` says what to do about it.
    """

    signal: str
    class_name: str
    estimate: float  # in `unit`; NaN where undefined
    low: float  # 95 % interval
    high: float
    unit: str
    p_value: float  # NaN for leads
    n: int  # images of the class
    n_others: int  # images that it was compared with
    detectable: float  # smallest estimate that this many images would have shown (power .80); NaN for leads
    role: Role
    version: int
    gate: float = float("nan")
    floor: float = 0.0
    carrier: str = ""
    sentence: str = ""
    step: str = ""
    details: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def decides(self) -> bool:
        """Whether a verdict can rest on it."""
        return self.role != "lead"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The judge's word on one class, or on the whole model (`scope` = "model"), with its reason in one sentence.

    `carried_by` holds the pieces of `evidence` that speak, the strongest first: what carries the class, and how
    strongly. Empty where nothing does.
    """

    scope: str
    state: State
    reason: str
    carried_by: tuple[Evidence, ...] = ()
    guards: tuple[str, ...] = ()  # names of the guards that spoke
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Findings:
    """One model's part of the results. The first verdict is the model's, then one per audited class."""

    observed: Observed
    evidence: tuple[Evidence, ...]
    verdicts: tuple[Verdict, ...]
    accuracy: float
    methods: tuple[Mapping[str, str], ...]  # each: name, sign, reduce, version, target, status (ok | refused), reason


@dataclass(frozen=True, kw_only=True)
class Results:
    """All that a run found, for the writers and the report.

    `pictures`: one row per picture shown. Columns: model, class, id, kind (`telling`, `control`; changed: `edit`, or
    `detail` of a telling or control image), rank, picture (path relative to the report), width, height (of the frame),
    boxes (list of xyxy in the frame), heats (dict method -> path of a grey heat map), caption, predicted; of changed
    ones also intervention, arm, donor (id) and original (path of the unchanged picture), empty for the other kinds.
    `album`: one row per model x drawn image. Columns: model, row (of `images`), id, picture, mask ("" if none), heats.
    `problems`: columns id, path, status, reason, message.
    `spikes`: one row per spike-in trial (columns in passes/spike.py); None where none was asked for.
    `reviews`: what people decided after earlier runs (run/reviews.py).
    """

    name: str
    run_id: str
    created: str  # ISO 8601, UTC
    findings: tuple[Findings, ...]  # the audited model first, then its twin
    problems: pd.DataFrame
    counts: Mapping[str, int]  # total, audited, skipped, failed
    pictures: pd.DataFrame
    provenance: Mapping[str, object]
    config: str  # resolved YAML
    gate: Mapping[str, object]  # mode, result, exit_code, reason
    spikes: pd.DataFrame | None = None
    reviews: tuple[Mapping[str, str], ...] = ()
    album: pd.DataFrame | None = None
    earlier: tuple[str, ...] = ()  # folders of this audit's earlier runs, oldest first; the last is the baseline


class Dataset(Protocol):
    """A folder of annotated images."""

    def records(self) -> list[Record | Problem]:
        """One entry per image that the annotations or the folder name, in a stable order, ids unique."""
        ...


class Classifier(Protocol):
    """A network with its preprocessing: RGB in [0, 1] in the model's frame -> logits. See models/classifier.py."""

    @property
    def module(self) -> nn.Module: ...  # (B, 3, H, W) in [0, 1] -> (B, K) logits; normalises inside; eval mode, frozen
    @property
    def fast(self) -> nn.Module: ...  # a copy of `module`, channels last, batch norm folded
    @property
    def classes(self) -> tuple[str, ...]: ...  # K names
    @property
    def frame(self) -> tuple[int, int]: ...  # (height, width) of the input
    @property
    def transform(self) -> Callable[..., Any]: ...  # spatial preprocessing (torchvision v2), carries tv_tensors along
    @property
    def device(self) -> torch.device: ...
    @property
    def forward_chunk(self) -> int: ...  # images at once at which a forward pass takes least time per image
    @property
    def backward_chunk(self) -> int: ...  # the same for a forward and a backward pass

    def __call__(self, images: Images) -> Tensor:
        """Logits (B, K) float32, in inference mode."""
        ...

    def layer(self, name: str | None) -> nn.Module:
        """The layer of `fast` of that dotted name, or (None) the last one whose output is a feature map."""
        ...

    def having(self, module: nn.Module, fast: nn.Module) -> Classifier:
        """The same classifier around another network of the same architecture."""
        ...


class ModelSource(Protocol):
    """Where a network comes from."""

    def load(self, device: torch.device) -> Classifier: ...


class Method(Protocol):
    """An attribution method: what made the model say `target`?"""

    reduce: str  # how channels become one number per pixel
    sign: Sign  # which part of the map counts as attribution mass
    version: ClassVar[int]

    def __call__(self, classifier: Classifier, images: Images, target: Labels) -> Maps: ...


class Metric(Protocol):
    """Numbers per image from a map and a mask, by column name. Maps follow the method's sign (see core/maps.py)."""

    version: ClassVar[int]

    def __call__(self, maps: Maps, inside: Masks, others: Masks) -> Mapping[str, Scores]: ...


class Intervention(Protocol):
    """A planned change of images whose effect on the prediction is measured."""

    version: ClassVar[int]

    def plan(self, images: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        """Columns recipient and donor (row numbers of `images`; donor -1 where there is none) and arm.

        A plan for one class or one place says so in `tested`, `place` and `spot` (see `Observed.trials`); `edit` then
        finds the places in `recipients.places`.

        An intervention that searches also has `again(images, trials, turn, rng)`, the same with all trials of the
        earlier rounds, which is asked for one round after the other (turn 1, 2, ...) until none has anything to plan.
        """
        ...

    def edit(self, recipients: Batch, donors: Batch | None, arm: str) -> Images:
        """The changed images, (B, 3, H, W) in [0, 1]."""
        ...


class Signal(Protocol):
    """Tables -> evidence, for every audited class."""

    version: ClassVar[int]

    def __call__(self, observed: Observed, rng: np.random.Generator) -> list[Evidence]: ...


class Section(Protocol):
    """A part of the report: results -> escaped HTML."""

    title: ClassVar[str]

    def __call__(self, results: Results) -> str: ...
