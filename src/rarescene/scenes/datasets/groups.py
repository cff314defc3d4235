"""Which recording a file belongs to. Adjacent frames are near-copies, so data are split by recording."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.scenes.faults import Fault, Listing
from rarescene.scenes.scene import in_order

_FRAME_NUMBER = re.compile(
    r"(?P<before>.*?)[-_. ]*(?:(?<![a-z])(?:frame|frm|image|img|f))?[-_. ]*(?P<number>\d+)", re.IGNORECASE
)


def group_by_pattern(pattern: str, name: str) -> str:
    r"""Return the recording of the scene `name`: the first group of the match of `pattern`, or all of it.

    `--group-by '(case\d+)'` takes `case07` from `hospital/case07_left_0012`. Raises `ConfigError` for a
    pattern that is not a regular expression and `DataError` for a name in which it finds nothing.
    """
    try:
        match = re.search(pattern, name)
    except re.error as error:
        remedy = r"Give a Python regular expression, for instance --group-by '(video\d+)'."
        raise ConfigError(f"--group-by {pattern!r} is not a regular expression ({error})", remedy) from error
    if match is None:
        raise DataError(f"--group-by {pattern!r} finds no recording in this name", "Widen the pattern.", name)
    return match[1] if match.re.groups and match[1] is not None else match[0]


def regroup(listing: Listing, pattern: str) -> Listing:
    """Return the listing with the recordings that a pattern finds in the names; see `group_by_pattern`.

    A name in which it finds nothing is a fault. What was sorted is sorted again; a set keeps its own order.
    """
    if listing.scenes is None:
        return listing
    faults = list(listing.faults)
    records = []
    for record in listing.scenes.records:
        try:
            records.append(replace(record, group=group_by_pattern(pattern, record.name)))
        except DataError as error:
            faults.append(Fault.of(error))
    if listing.sorted:
        records.sort(key=in_order)
    scenes = replace(listing.scenes, records=tuple(records)) if records else None
    return replace(listing, scenes=scenes, faults=tuple(faults))


def default_group(name: str, alone: str) -> str:
    """Return the recording of the scene `name` (a relative path without ending) where no pattern is given.

    In nested folders it is the leading folder. Otherwise it is what stands before the frame number and before
    the word `frame`, `image` or `img`: `video01_frame_0001` belongs to `video01`. Where nothing stands there,
    all scenes are one recording, called `alone`.
    """
    parts = PurePosixPath(name).parts
    if len(parts) > 1:
        return parts[0]
    match = _FRAME_NUMBER.fullmatch(parts[0])
    return match["before"] if match and match["before"] else alone


def frame_number(name: str) -> int | None:
    """Return the last number in the last part of `name`, the position of a frame within its recording."""
    numbers = re.findall(r"\d+", PurePosixPath(name).name)
    return int(numbers[-1]) if numbers else None
