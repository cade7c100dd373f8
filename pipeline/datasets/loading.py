"""Records -> examples, decoded ahead of the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from pipeline.datasets import images
from pipeline.datasets.annotations import UnusableError
from pipeline.datasets.framing import Transform, framed
from pipeline.types import Example, Problem, Record


def example(
    record: Record,
    transform: Transform,
    frame: tuple[int, int],
    *,
    min_visible: float = 0.1,
    background: tuple[int, int, int] = images.WHITE,
    max_pixels: int = images.MAX_PIXELS,
) -> Example | Problem:
    """One record, decoded and brought into the model's frame, or why it cannot be audited.

    Args:
        transform: the model's spatial preprocessing, a torchvision v2 transform. It gets the PIL image itself, so that
            pixels equal those of production bit for bit, with boxes and masks beside it.
        frame: (height, width) of the model's input.
        min_visible: the share of the objects' area that the frame must show.
        background: RGB, 0 to 255, that shows through transparent pixels.
        max_pixels: larger images are refused before they are decoded.

    Raises AuditError where the transform does not end in uint8 pixels of the frame.
    """
    try:
        picture = images.decode(record.path, background=background, max_pixels=max_pixels)
        return framed(record, picture, transform, frame, min_visible)
    except UnusableError as unusable:
        return unusable.problem(record.id, record.path)


def examples(
    records: Iterable[Record | Problem],
    transform: Transform,
    frame: tuple[int, int],
    *,
    workers: int = 2,
    ahead: int = 64,
    min_visible: float = 0.1,
    background: tuple[int, int, int] = images.WHITE,
    max_pixels: int = images.MAX_PIXELS,
) -> Iterator[Example | Problem]:
    """One result per record, in order; problems pass through. Arguments as for `example`, and:

    Args:
        workers: threads that decode (Pillow lets go of the interpreter); 0 decodes in the caller's thread.
        ahead: how many results may wait for the caller. They bound the memory, whatever the dataset's size.
    """
    if workers < 0 or ahead < 1:
        raise ValueError(f"`workers` must be 0 or more and `ahead` 1 or more, got {workers} and {ahead}")
    decode = partial(
        example,
        transform=transform,
        frame=frame,
        min_visible=min_visible,
        background=background,
        max_pixels=max_pixels,
    )
    if workers == 0:
        for record in records:
            yield decode(record) if isinstance(record, Record) else record
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    waiting: deque[Future[Example | Problem] | Problem] = deque()
    try:
        for record in records:
            waiting.append(pool.submit(decode, record) if isinstance(record, Record) else record)
            if len(waiting) > ahead:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _result(entry: Future[Example | Problem] | Problem) -> Example | Problem:
    return entry.result() if isinstance(entry, Future) else entry
