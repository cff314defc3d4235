"""Which recording a file belongs to. Adjacent frames are near-copies, so data are split by recording.

Names tell it by a rule (`places_in_recordings`); where the rule is not clear, `why_unclear` says so, and
every command that splits repeats it. `--group-by` overrules both.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.scenes.faults import Fault, Listing
from rarescene.scenes.scene import in_order

_FRAME_WORD = r"(?:frame|frm|image|img|f)"
_FRAME_NUMBER = re.compile(
    rf"(?P<before>.*?)[-_. ]*(?:(?<![a-z]){_FRAME_WORD})?[-_. (]*(?P<number>\d+)", re.IGNORECASE
)
_TIME = re.compile(  # 00-10-37-05 or 10h37m05s: hours, minutes, seconds, and perhaps frames
    r"(?P<before>.*?)[-_. ]*(?<!\d)(?P<h>[01]?\d|2[0-3])(?P<sep>[-.:h])(?P<m>[0-5]\d)(?:(?P=sep)|(?<=\d)m)"
    r"(?P<s>[0-5]\d)(?:(?:(?P=sep)|s[-_. ]?)(?P<f>\d{1,3}))?s?",
    re.IGNORECASE,
)
_HASH = re.compile(
    r"(?<![^\W_])(?=[0-9a-f]*[0-9][a-f]|[0-9a-f]*[a-f][0-9])[0-9a-f]{8,}(?![^\W_])", re.IGNORECASE
)
_FRAMES = 1000  # more than there are in a second
_RECORDING_WORD = re.compile(
    r"(?<![a-z])(case|patient|pat|video|vid|op|operation|seq|sequence|clip|subject|series|study|surgery|"
    r"aug|crop|tile|patch|cam|camera|view)"
    r"(?P<apart>[-_. ]*)\d+$",
    re.IGNORECASE,
)
_LIKE_A_FRAME = re.compile(rf"(?<![a-z]){_FRAME_WORD}[-_. ]*\d+", re.IGNORECASE)
_PARTS = re.compile(
    r"(train(ing)?|val(id|idation)?|test(ing)?|eval|dev)([-_ ]?(set|data|images))?|"
    r"(fold|batch|task|job|chunk|part|split|cam|camera|view)[-_ ]?\d+",
    re.IGNORECASE,
)
_LETTERED = re.compile(
    r"\d|(?:(?<![^\W_])|(?<=[a-z]))[A-KM-QS-Z]$"
)  # case7, B, patientB; left and right are views
_DAY = re.compile(r"\D*(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])\D*")
_BARE = re.compile(r"\d+([-_. ]+[^\W\d_]+)?")  # 0001, or the 0001_p of 0001_p2
_COLUMN = re.compile(r"\d+|(?<=\d)[a-z](?![a-z])", re.IGNORECASE)  # numbers, and the b of case1b


def group_by_pattern(pattern: str, name: str) -> str:
    r"""Return the recording of the scene `name`: the first group of the match of `pattern`, or all of it.

    `--group-by '(case\d+)'` takes `case07` from `hospital/case07_left_0012`. Raises `ConfigError` for a
    pattern that is not a regular expression and `DataError` for a name in which it finds nothing.
    """
    try:
        match = re.search(unicodedata.normalize("NFC", pattern), name)
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
    scenes = replace(listing.scenes, records=tuple(records), doubt="") if records else None
    return replace(listing, scenes=scenes, faults=tuple(faults))


def told_apart(listing: Listing) -> Listing:
    """Return the listing with a position of its own for each frame of a recording.

    In a recording where two frames stand at one position, all are numbered in the order of their positions
    and names, and a note says so. Elsewhere nothing changes; a set keeps its own positions.
    """
    if listing.scenes is None or not listing.sorted:
        return listing
    records = listing.scenes.records
    counts = Counter((record.group, record.order) for record in records)
    shared = {group for (group, _), count in counts.items() if count > 1}
    if not shared:
        return listing
    told, ranks = [], Counter[str]()
    for record in records:
        told.append(replace(record, order=ranks[record.group]) if record.group in shared else record)
        ranks[record.group] += 1
    first = next(record for record in records if counts[record.group, record.order] > 1)
    pair = [r.name for r in records if (r.group, r.order) == (first.group, first.order)][:2]
    where = f"{len(shared)} recordings" if len(shared) > 1 else f"recording {first.group!r}"
    note = (
        f"in {where} several frames stand at one position ({' and '.join(pair)}); they are counted one by one"
    )
    return replace(listing, scenes=replace(listing.scenes, records=tuple(told)), notes=(*listing.notes, note))


def places_in_recordings(names: Sequence[str], alone: str) -> list[tuple[str, int]]:
    """Return the recording of each name (a relative path without ending), and its position there.

    What follows the frame number in the names of all files of a flat folder, such as `_endo`, is passed over.
    See `default_group` and `frame_number`.
    """
    flat = [name for name in names if "/" not in name]
    stems = dict(zip(flat, _stems(flat), strict=True))
    return [(default_group(stems.get(name, name), alone), frame_number(name) or 0) for name in names]


def _stems(names: Sequence[str]) -> list[str]:
    """Return names without what follows the last number where that is the same in all of several."""
    endings = {re.sub(r".*\d", "", name) for name in names}
    ending = endings.pop() if len(endings) == 1 and len(names) > 1 else ""
    return [name.removesuffix(ending) for name in names]


def default_group(name: str, alone: str) -> str:
    """Return the recording of the scene `name` (a relative path without ending) where no pattern is given.

    In nested folders it is the leading folder. Otherwise it is what stands before the frame number, or before
    the time of the video, and before the word `frame`, `image` or `img`: `video01_frame_0001` belongs to
    `video01`. Where nothing stands there, all scenes are one recording, called `alone`.
    """
    parts = PurePosixPath(name).parts
    if len(parts) > 1:
        return parts[0]
    match = _TIME.fullmatch(parts[0]) or _FRAME_NUMBER.fullmatch(parts[0])
    return match["before"] if match and match["before"] else alone


def frame_number(name: str) -> int | None:
    """Return the last number in the last part of `name`, the position of a frame within its recording.

    Of a time of the video it is the time. Digits of a hash, as in `op3_0012_2d95e6c487ff`, are no number.
    """
    last = PurePosixPath(name).name
    if time := _TIME.fullmatch(last):
        h, m, s, f = (int(time[key] or 0) for key in "hmsf")
        return ((h * 60 + m) * 60 + s) * _FRAMES + f if time["f"] else (h * 60 + m) * 60 + s
    numbers = re.findall(r"\d+", _HASH.sub("", last)) or re.findall(r"\d+", last)
    return int(numbers[-1]) if numbers else None


def why_unclear(places: Iterable[tuple[str, str]]) -> str:
    """Return why the recordings that names tell may be wrong, or nothing where the rule is clear.

    Args:
        places: name and recording of each scene, as `places_in_recordings` tells them.
    """
    told = list(places)
    groups = Counter(group for _, group in told)
    flat = [(name, group) for name, group in told if "/" not in name]
    return (
        _alike(groups)
        or _unclear_folders(told)
        or (_unclear_names(flat) if len(flat) > 1 else "")
        or _unclear_groups(groups)
        or _single_frames(told, groups)
    )


def _single_frames(told: Sequence[tuple[str, str]], groups: Counter[str]) -> str:
    singles = sum(count == 1 for count in groups.values())
    if len(told) < 3 or 2 * singles <= len(groups):
        return ""
    return f"{singles} of {len(groups)} recordings would have a single frame ({told[0][0]!r})"


def unclear(doubt: str) -> str:
    """Return what a user is told where `why_unclear` found a reason."""
    return (
        f"which recording a frame belongs to is not clear: {doubt}. Frames of one recording may then train "
        "and test; tell recordings apart with --group-by REGEX."
    )


def _alike(groups: Iterable[str]) -> str:
    """Say which recordings differ in case, separators or leading zeros alone."""
    seen: dict[tuple[str, ...], str] = {}
    for group in sorted(groups):
        words = re.findall(r"[^\W\d_]+|\d+", group.casefold())
        other = seen.setdefault(tuple(str(int(w)) if w.isdecimal() else w for w in words), group)
        if other != group and words:
            return f"{other!r} and {group!r} count as two, and may be one"
    return ""


def _unclear_groups(groups: Counter[str]) -> str:
    """Say which recordings are called as something else, or have several numbers that tell them apart."""
    for group in sorted(groups):
        if _PARTS.fullmatch(group):
            return f"{group!r} is called as a part of a split or of a view, and counts as one recording"
        if _DAY.fullmatch(group):
            return f"{group!r} is called as a day, on which there may have been several recordings"
    if len(groups) == 1:
        return ""
    for group in sorted(groups):
        if not _LETTERED.search(group):
            return f"{group!r} counts as a recording and bears no number, as a kind of frames or a view would"
        if _LIKE_A_FRAME.search(group):
            return f"{group!r} counts as a recording, and is called as a frame"
    alike: dict[str, list[str]] = {}
    for group in sorted(groups):
        alike.setdefault(_COLUMN.sub("#", group), []).append(group)
    for several in alike.values():
        kinds = [len(set(column)) for column in zip(*map(_COLUMN.findall, several), strict=True)]
        if sum(kind > 1 for kind in kinds) > 1 and any(1 < kind < len(several) for kind in kinds):
            told = f"({several[0]!r}, {several[1]!r})"
            return f"several numbers tell recordings apart {told}, which may be parts of one"
    return ""


def _unclear_folders(told: Sequence[tuple[str, str]]) -> str:
    inside: dict[str, set[str]] = {}
    for name, group in told:
        rest = name.partition("/")[2]
        word = _RECORDING_WORD.search(rest)
        if word and not word["apart"]:  # 0001/case3: the frame stands before the case
            inside.setdefault(rest, set()).add(group)
        within = default_group(rest, "") if rest else ""
        if within and any(map(str.isdigit, within)) and not any(map(str.isdigit, group)):
            inside.setdefault(within, set()).add(group)
    for within, several in sorted(inside.items()):
        if len(several) > 1:
            return (
                f"{within!r} lies in the folders {', '.join(sorted(several))}, which count as the recordings"
            )
    return ""


def _unclear_names(flat: Sequence[tuple[str, str]]) -> str:
    stems, groups = _stems([name for name, _ in flat]), Counter(group for _, group in flat)
    odd = [stem for stem in stems if not (_TIME.fullmatch(stem) or _FRAME_NUMBER.fullmatch(stem))]
    if odd:
        return f"{len(odd)} names do not end in a frame number ({odd[0]!r})"
    if single := _single_frames(flat, groups):
        return single
    for stem in stems:
        word = _RECORDING_WORD.search(stem)
        if word and (len(groups) > 1 or not word["apart"]):
            what = f"a{'n' * (word[1][0] in 'aeiouAEIOU')} {word[1].lower()}"
            return f"the last number of {stem!r} may be that of {what}, and counts as that of a frame"
    bare = [group for group in groups if _BARE.fullmatch(group)]
    if len(bare) > 1 and len(bare) >= len(set(map(frame_number, stems))):
        return f"which number of {stems[0]!r} is that of the frame is not said"
    return ""
