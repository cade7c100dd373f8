"""Pascal VOC: one XML per image, with masks where there are some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pipeline.datasets import annotations as shared
from pipeline.datasets.annotations import UnusableError
from pipeline.types import ObjectRegion, PngMask, Problem, Record

# The palette of SegmentationClass: these names, in this order, are 1 to 20; 0 is background and 255 void.
VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


@dataclass(frozen=True, kw_only=True)
class Voc:
    """A folder in Pascal VOC's layout; an image's id is its annotation's file name without `.xml`.

    Args:
        root: the folder that all other paths lie in.
        images: folder of the photographs.
        annotations: folder of the XML files. The image of `a.xml` is `a.*`, else what its `<filename>` says.
        masks: None; `SegmentationObject` (palette number i + 1 is the i-th object); `SegmentationClass` (the class's
            number in VOC's list); or any other folder of black and white `a.png`, one per image, that covers all
            objects of the image's label.
        split: text file of image names, one per line, with or without suffix; None for every image.
        label: `largest` (the class with the largest total box area) or `single` (images with several are skipped).
        classes: the only classes to audit; objects of all others stay as other objects. None for every class.

    Objects marked `difficult` are regions like any other.
    """

    root: str | Path
    images: str = "JPEGImages"
    annotations: str = "Annotations"
    masks: str | None = None
    split: str | None = None
    label: str = "largest"
    classes: Sequence[str] | None = None

    def __post_init__(self) -> None:
        shared.check_label_rule(self.label, self.classes)

    def records(self) -> list[Record | Problem]:
        """One entry per XML or image, by name (or in the split's order). Raises AuditError where there is none."""
        root = shared.folder(Path(self.root), "root")
        photographs = _Photographs.of(shared.folder(root / self.images, "images"))
        xmls = {f.stem: f for f in sorted(shared.folder(root / self.annotations, "annotations").glob("*.xml"))}
        if self.masks is not None:
            shared.folder(root / self.masks, "masks")
        names = list(xmls) if self.split is None else _split(root / self.split)
        sheets = {name: _sheet(xmls[name]) for name in dict.fromkeys(names) if name in xmls}
        self._check_classes(sheets, root)

        entries = [self._entry(name, sheets.get(name), photographs, root) for name in names]
        if self.split is None:
            taken = {entry.path for entry in entries}
            entries += [self._entry(f.stem, None, photographs, root, f) for f in photographs.files if f not in taken]
            entries.sort(key=lambda entry: entry.id)  # stable: of two images of one name, the annotated one stays first
        return shared.complete(entries, root)

    def _check_classes(self, sheets: Mapping[str, _Sheet | UnusableError], root: Path) -> None:
        good = (sheet for sheet in sheets.values() if isinstance(sheet, _Sheet))
        shared.check_classes(self.classes, (region.label for sheet in good for region in sheet.objects), root)

    def _entry(
        self,
        name: str,
        sheet: _Sheet | UnusableError | None,
        photographs: _Photographs,
        root: Path,
        path: Path | None = None,
    ) -> Record | Problem:
        def make() -> Record:
            if isinstance(sheet, UnusableError):
                raise sheet
            found = path or photographs.find(name, sheet.filename if sheet else "")
            objects = sheet.objects if sheet else ()
            label = shared.chosen_label(objects, self.label, self.classes, f"the annotation of {found}")
            masked = tuple(self._masked(root, name, i, region, label) for i, region in enumerate(objects))
            return Record(id=name, path=found, label=label, objects=masked, size=sheet.size if sheet else None)

        return shared.attempt(name, path or photographs.guess(name), make)

    def _masked(self, root: Path, name: str, index: int, region: ObjectRegion, label: str) -> ObjectRegion:
        if self.masks is None:
            return region
        path = root / self.masks / f"{name}.png"
        kind = PurePath(self.masks).name
        if kind == "SegmentationObject":
            return replace(region, mask=PngMask(path=path, values=(index + 1,)))
        if kind == "SegmentationClass":
            if region.label not in VOC_CLASSES:
                hint = "use SegmentationObject, or a folder of black and white masks under another name"
                raise UnusableError("bad_annotation", f"{name}: {region.label!r} is no class of VOC's palette; {hint}")
            return replace(region, mask=PngMask(path=path, values=(VOC_CLASSES.index(region.label) + 1,)))
        return replace(region, mask=PngMask(path=path)) if region.label == label else region


@dataclass(frozen=True)
class _Photographs:
    """The image files of one folder."""

    folder: Path
    files: Sequence[Path]
    by_stem: Mapping[str, Sequence[Path]]

    @classmethod
    def of(cls, folder: Path) -> _Photographs:
        by_stem: dict[str, list[Path]] = {}
        files = shared.images_in(folder)
        for file in files:
            by_stem.setdefault(file.stem, []).append(file)
        return cls(folder, files, by_stem)

    def guess(self, stem: str) -> Path:
        """Where the image of that name is, or would be."""
        return self.by_stem.get(stem, [self.folder / stem])[0]

    def find(self, stem: str, filename: str) -> Path:
        """The image of the annotation's own name, since many a `<filename>` is wrong; else the one it names."""
        same = self.by_stem.get(stem, ())
        if same:
            return next((f for f in same if f.name == filename), same[0])
        if not filename:
            raise UnusableError(
                "missing_file", f"{self.folder / stem}.* is not there; add the image or drop its annotation"
            )
        path = shared.under(self.folder, filename)
        if not path.is_file() and path.stem in self.by_stem:
            return self.by_stem[path.stem][0]
        return shared.existing(path, f"the annotation {stem}.xml")


@dataclass(frozen=True)
class _Sheet:
    """One XML's content."""

    filename: str
    size: tuple[int, int] | None
    objects: tuple[ObjectRegion, ...]


def _split(path: Path) -> list[str]:
    lines = (line.strip() for line in shared.text(path, "split").splitlines())
    names = (PurePath(line) for line in lines if line)
    return [n.stem if n.suffix.lower() in shared.IMAGE_SUFFIXES | {".xml"} else n.name for n in names]


def _sheet(xml: Path) -> _Sheet | UnusableError:
    try:
        tree = ElementTree.parse(xml).getroot()
        return _Sheet(
            filename=(tree.findtext("filename") or "").strip(),
            size=_size(tree),
            objects=tuple(_region(o, i, xml) for i, o in enumerate(tree.findall("object"), start=1)),
        )
    except UnusableError as unusable:
        return unusable
    except (ElementTree.ParseError, ValueError, OSError) as error:
        return UnusableError(
            "bad_annotation", f"{xml} is no Pascal VOC annotation ({error}); correct or export it again"
        )


def _size(tree: Element) -> tuple[int, int] | None:
    """(width, height); None where it is not stated, for which some tools write 0."""
    width, height = (int(tree.findtext(f"size/{side}") or 0) for side in ("width", "height"))
    return (width, height) if width > 0 and height > 0 else None


def _region(element: Element, number: int, xml: Path) -> ObjectRegion:
    label = (element.findtext("name") or "").strip()
    texts = [element.findtext(f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
    if not label or None in texts:
        raise ValueError(f"object {number} must have a name and a bndbox of xmin, ymin, xmax, ymax")
    xmin, ymin, xmax, ymax = (float(t or "") for t in texts)
    # VOC counts pixels from 1 and includes the last one: pixel xmin is [xmin - 1, xmin) here.
    box = (xmin - 1, ymin - 1, xmax, ymax)
    return ObjectRegion(label=label, box=shared.sound(box, f"object {number} ({label})", str(xml)))
