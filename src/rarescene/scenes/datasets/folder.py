"""A user's own folder: `images/`, `masks/` and `classes.json`.

Masks hold class ids (one channel, or a palette, or three equal channels) or colours, which are looked up
exactly. `classes.json` is `ClassTable.to_dict()`; besides, a class may list the raw `"values"` that stand for
it in the masks when they are not 0 to C-1 (numbers, or spans such as `"128-255"`), and the table may list raw
values that are unlabelled as `"ignore_values"`, and a `"licence"`. White and the ignore index are unlabelled
unless they are a class; a mask of black and white alone is refused unless the table says what 255 is.

An image and its mask have the same relative path, apart from the ending, from upper and lower case, from the
form of Unicode, and from a word such as `_mask` or `_label` at the end of the mask's name, or `mask_` before
it (`_image` or `_img` at the end of the image's, or `img_` before it).
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rarescene.foundation.console import progress
from rarescene.foundation.errors import ConfigError, DataError, RareSceneError
from rarescene.foundation.files import parse_json, read_text
from rarescene.foundation.methods import DatasetMethod
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.datasets.groups import places_in_recordings, why_unclear
from rarescene.scenes.datasets.infer_classes import propose_from
from rarescene.scenes.faults import Fault, Listing
from rarescene.scenes.mask_code import MaskCode
from rarescene.scenes.pairs import list_pairs
from rarescene.scenes.rasters import (
    IMAGE_FOLDERS,
    IMAGE_SUFFIXES,
    MASK_FOLDERS,
    plain_folder,
    plain_name,
    walk_files,
    what_is_not_read,
)
from rarescene.scenes.scene import SceneRecord

CLASSES_FILE = "classes.json"

_LOOKED_AT = 200  # masks that a table in an error message rests on; all of a large folder would take minutes

_MASK_WORDS = (
    "watershed_mask|color_mask|mask|masks|label|labels|labelids|labeltrainids|seg|segmask|segmentation|gt|"
    "annot|annotation|groundtruth"
)
_WORDS_OF_IMAGES = tuple(re.compile(rf"{word}", re.IGNORECASE) for word in (
    r"[-_. ](image|img|rgb)$", r"(?:^|(?<=/))(image|img|rgb|frame)[-_. ]",
))  # fmt: skip
WORDS_OF_MASKS = tuple(re.compile(rf"{word}", re.IGNORECASE) for word in (
    rf"[-_. ]({_MASK_WORDS})$", rf"(?:^|(?<=/))({_MASK_WORDS})[-_. ]",
))  # fmt: skip
_MASK_WORD = WORDS_OF_MASKS[0]

_DECIDING = {"ignore_index", "ignore_values", "values"}
"""Fields of a class table that may be left out and decide pixels."""

_LICENCE_FILE = re.compile(r"(licen[cs]e|copying)([-_ ][^.]*)?(\.(txt|md|rst))?", re.IGNORECASE)


def list_folder(
    root: Path,
    *,
    images: str | None = None,
    masks: str | None = None,
    classes: str | None = None,
    title: str = "",
    licence: str = "",
) -> Listing:
    """List the pairs of a folder, named by their relative paths without ending, see also `groups`.

    Args:
        root: the folder.
        images: the folder of images within `root`; by default the one with an obvious name.
        masks: the folder of masks within `root`, likewise. It may be the folder of the images; masks are then
            the files whose names end in a word such as `_mask`.
        classes: the class table; by default `classes.json` in `root`.
        title: what the data set is called; by default as the folder.
        licence: the licence of the data, which every run folder repeats; by default what the class table
            says, or the first line of a file LICENSE beside it.
    """
    image_folder, mask_folder, notes = _find_folders(root, images, masks)
    image_files, mask_files = _files(image_folder, mask_folder)
    pairs, faults = _pairs(image_folder, image_files, mask_folder, mask_files)
    notes += filter(None, map(what_is_not_read, dict.fromkeys((image_folder, mask_folder))))
    table_file = root / (classes or CLASSES_FILE)
    try:
        code = read_classes(table_file, [mask for _, _, mask in pairs])
    except RareSceneError as error:
        return Listing(None, (Fault.of(error), *faults), tuple(notes))

    alone = root.resolve().name
    places = places_in_recordings([name for name, _, _ in pairs], alone)
    records = [
        SceneRecord(name, group, order, image, mask)
        for (name, image, mask), (group, order) in zip(pairs, places, strict=True)
    ]
    doubt = why_unclear((record.name, record.group) for record in records)
    terms = licence or _licence(root, table_file)
    return list_pairs(code, records, terms, faults, notes, name=title or alone, doubt=doubt)


def propose_for(
    root: Path,
    *,
    images: str | None = None,
    masks: str | None = None,
    classes: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    **others: str,
) -> tuple[Path, dict[str, Any]]:
    """Return where the class table of a folder belongs, and one that is made from all of its masks.

    The options are those of `list_folder`; `others` decide nothing here.

    Raises:
        DataError: there is no folder of masks, or what lies there are no label masks.
        ConfigError: there is a class table.
    """
    target = root / (classes or CLASSES_FILE)
    if target.exists():
        raise ConfigError("exists already", "Edit it, or delete it to have another one proposed.", target)
    _, files = _files(*_find_folders(root, images, masks)[:2])
    return target, propose_from(files, root.resolve().name, progress=progress)


def read_classes(path: Path, masks: Iterable[Path] = ()) -> MaskCode:
    """Return what the masks mean, from `classes.json`.

    Raises:
        DataError: the file is missing (the message proposes one, made from `masks`) or not understood.
    """
    try:
        content = parse_json(read_text(path))
        if not isinstance(content, dict):
            raise ValueError("expected an object with the field `classes`")
        return _code(content)
    except FileNotFoundError:
        raise _without_table(path, list(masks)) from None
    except RareSceneError as error:
        raise DataError(error.what, error.remedy, path) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        remedy = "Correct it; `rarescene check DATA --write-classes` writes one when it is away."
        raise DataError(f"is not a class table ({error})", remedy, path) from error


def _code(content: Mapping[str, Any]) -> MaskCode:
    table = ClassTable.from_dict(content)
    for part in (content, *content["classes"]):
        for field in part.keys() - _DECIDING:
            if meant := difflib.get_close_matches(field, _DECIDING, n=1, cutoff=0.8):
                raise ValueError(f"the field {field!r} is not known; {meant[0]!r} may be meant")
    values: dict[int, int] = {}
    for entry in content["classes"]:
        for value in _listed(entry.get("values", [entry["id"]])):
            if values.setdefault(value, int(entry["id"])) != int(entry["id"]):
                raise ValueError(f"two classes share the mask value {value}")
    for value in _listed(content.get("ignore_values", [])):
        if value in values:
            raise ValueError(f"the mask value {value} is both a class and ignored")
        values[value] = table.ignore_index
    granted = table.ignore_index not in values
    valued = any("values" in entry for entry in content["classes"])
    values.setdefault(table.ignore_index, table.ignore_index)
    colours = [entry.colour for entry in table.classes]
    if len(set(colours)) < len(colours):
        colours = []  # colours that classes share tell nothing; the masks must hold ids
    code = MaskCode.plain(table)
    return MaskCode(table, values, code.colours if colours else {}, valued=valued, granted=granted)


def _listed(given: Iterable[Any]) -> Iterator[int]:
    """Yield the mask values that a class table lists: numbers, or spans such as "128-255"."""
    if isinstance(given, str):
        raise ValueError(f"the values {given!r} are no list")
    for entry in given:
        first, _, last = str(entry).partition("-")
        if isinstance(entry, bool) or not first.isdecimal() or not (last or first).isdecimal():
            raise ValueError(f"the value {entry!r} is neither a number nor a span such as 128-255")
        if not int(first) <= int(last or first) <= 255:
            raise ValueError(f"the value {entry} is no byte")
        yield from range(int(first), int(last or first) + 1)


def _licence(root: Path, table: Path) -> str:
    """Return what the class table says of the licence, or the first line of a file beside the data."""
    said = parse_json(read_text(table))
    found = said.get("licence") or said.get("license")
    found = found.get("name") if isinstance(found, dict) else found
    if isinstance(found, str) and found.strip():
        return " ".join(found.split())
    for path in sorted(root.iterdir()):
        if _LICENCE_FILE.fullmatch(path.name) and path.is_file():
            lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            title = next((" ".join(line.strip("# ").split()) for line in lines if line.strip("# ")), "")
            return f"{title[:80]} ({path.name})" if title else f"see {path.name}"
    return "unknown"


def _without_table(path: Path, masks: list[Path]) -> DataError:
    command = "`rarescene check DATA --write-classes`, with the same DATA,"
    try:
        with progress("looking at masks") as advance:
            table = propose_from(masks, path.parent.resolve().name, most=_LOOKED_AT, progress=advance)
        proposal = json.dumps(table, ensure_ascii=False).replace('{"id"', '\n  {"id"')
    except RareSceneError as error:
        return DataError(
            f"is missing, and none can be proposed: {error}", "Write the class table by hand.", path
        )
    remedy = (
        f"Save this, made from the masks, with the real names in it; {command} writes it for you:\n{proposal}"
    )
    return DataError("is missing: what the values of the masks mean is not known", remedy, path)


def _find_folders(root: Path, images: str | None, masks: str | None) -> tuple[Path, Path, list[str]]:
    """Return the folders of the images and of the masks, and notes on others that might have been meant."""
    found = {path.name: path for path in sorted(root.iterdir()) if path.is_dir() and path.name[0] != "."}
    beside = _with_ground_truth(found)
    notes: list[str] = []

    def find(given: str | None, obvious: tuple[str, ...], kind: str, pair: int) -> Path:
        if given is not None:
            if not (root / given).is_dir():
                remedy = f"Correct `{kind}:` in the YAML file."
                raise DataError(f"the folder of {kind} is missing", remedy, root / given)
            return root / given
        matching = [name for name in found if plain_folder(name) in obvious]
        matching.sort(key=lambda name: obvious.index(plain_folder(name)))
        if matching:
            others = ", ".join(f"{name}/" for name in matching[1:])
            notes.extend(
                [f"{matching[0]}/ is read as the folder of {kind}, and not {others}"] if others else []
            )
            return found[matching[0]]
        if beside is not None:
            left = ", ".join(f"{name}/" for name, folder in found.items() if folder not in beside)
            if left and not pair:
                notes.append(f"{beside[0].name}/ and {beside[1].name}/ are read, and not {left}")
            return beside[pair]
        named = ", ".join(found) or "no folder"
        remedy = (
            f"Make a folder `{kind}` in it, or name yours in a YAML file (`rarescene check data.yaml`):\n"
            f"name: folder\npath: {root.resolve()}\n{kind}: {'NAME' if found else '.'}"
        )
        for name, folder in found.items():  # train/images and train/masks, case1/images and case1/masks
            within = next((p.name for p in sorted(folder.iterdir()) if plain_folder(p.name) in obvious), "")
            if within:
                remedy = f"Turn the folders round: {within}/{name} instead of {name}/{within}, and so on."
                break
        raise DataError(f"has no folder of {kind} (found: {named})", remedy, root)

    return find(images, IMAGE_FOLDERS, "images", 0), find(masks, MASK_FOLDERS, "masks", 1), notes


def _with_ground_truth(folders: Mapping[str, Path]) -> tuple[Path, Path] | None:
    """Return the one folder that has another beside it of the same name and `_gt` or so, and that one."""
    pairs = [
        (folder, folders[other])
        for name, folder in folders.items()
        for other in folders
        if other != name and _MASK_WORD.sub("", other) == name
    ]
    return pairs[0] if len(pairs) == 1 else None


def _files(image_folder: Path, mask_folder: Path) -> tuple[list[Path], list[Path]]:
    images, masks = walk_files(image_folder), walk_files(mask_folder)
    if image_folder.resolve() == mask_folder.resolve():
        masks = [path for path in masks if any(word.search(path.stem) for word in WORDS_OF_MASKS)]
        images = sorted(set(images).difference(masks))
    return images, masks


def _pairs(
    image_folder: Path, images: list[Path], mask_folder: Path, masks: list[Path]
) -> tuple[list[tuple[str, Path, Path]], list[Fault]]:
    """Return (name, image, mask) of each pair, and what has no counterpart or too many."""
    faults: list[Fault] = []
    if not images:
        endings = ", ".join(sorted(IMAGE_SUFFIXES))
        faults.append(Fault(image_folder, "holds no images", f"Put the frames there; read are {endings}."))
    tables = [by_name(mask_folder, masks, words) for words in ((), WORDS_OF_MASKS[:1], WORDS_OF_MASKS)]
    pairs, used, seen = [], set(), dict[str, Path]()
    for image in images:
        name = plain_name(image, image_folder)
        keys = dict.fromkeys(_without(name, words) for words in ((), _WORDS_OF_IMAGES[:1], _WORDS_OF_IMAGES))
        if name.casefold() in seen:
            remedy = "Rename or remove one of the two."
            faults.append(
                Fault(image, f"has the name of another image: {seen[name.casefold()].name}", remedy)
            )
            continue
        seen[name.casefold()] = image
        matches = next((table[key] for table in tables for key in keys if key in table), [])
        if len(matches) == 1 and matches[0] in used:
            remedy = "Rename one of the two images, or remove it."
            faults.append(Fault(image, f"shares its mask with another image: {matches[0].name}", remedy))
        elif len(matches) == 1:
            pairs.append((name, image, matches[0]))
        elif matches:
            others = ", ".join(path.name for path in matches)
            faults.append(
                Fault(image, f"has several masks: {others}", "Keep one of them in the folder of masks.")
            )
        else:
            faults.append(Fault(image, "has no mask", ""))
        used.update(matches)
    orphans = [mask for mask in masks if mask not in used]
    if one_each := _one_file_a_class(image_folder, images, mask_folder, orphans):
        return pairs, [one_each, *(fault for fault in faults if fault.remedy)]
    near = _by_stem([*orphans, *walk_files(mask_folder, read=False)])
    for place, fault in enumerate(faults):
        if not fault.remedy and fault.file is not None:
            what, remedy = _what_is_there(fault.file, near.get(_plain_stem(fault.file), []), mask_folder)
            faults[place] = Fault(fault.file, what, remedy)
    faults += [
        Fault(mask, "is a mask without an image", "Add its image, or remove the mask.") for mask in orphans
    ]
    return pairs, faults


def _what_is_there(image: Path, near: Sequence[Path], mask_folder: Path) -> tuple[str, str]:
    """Return what to say of an image without a mask, in sight of files that bear its name."""
    mask = image.with_suffix(".png").name
    if not near:
        return (
            "has no mask",
            f"Add a mask called as its image ({mask}) to {mask_folder}, or remove the image.",
        )
    there = near[0].relative_to(mask_folder)
    if near[0].suffix.lower() not in IMAGE_SUFFIXES:
        ending, known = near[0].suffix or "without ending", ", ".join(sorted(IMAGE_SUFFIXES))
        what = f"has no mask that is read: {there} is there, and {ending} is not read (read are {known})"
        return what, f"Save the masks as PNG: {mask}."
    remedy = (
        "Give image and mask the same path below their folders; only the ending may differ, and a word "
        "such as _mask or mask_ at the mask's name."
    )
    return f"has no mask in its place: {there} bears its name and lies elsewhere", remedy


def _one_file_a_class(
    image_folder: Path, images: Sequence[Path], mask_folder: Path, orphans: Sequence[Path]
) -> Fault | None:
    """Return the one fault of a folder that holds a file for each class of an image, or None."""
    names = {_without(plain_name(path, image_folder), _WORDS_OF_IMAGES) for path in images}
    found: dict[str, list[Path]] = {}
    for mask in orphans:
        name = _without(plain_name(mask, mask_folder), ())
        folders = name.split("/")  # liver/0001.png, tool/0001.png, or 0001/liver.png
        ways = ["/".join(folders[:at] + folders[at + 1 :]) for at in range(len(folders))]
        for cut in re.finditer(r"[-_. ]", name):  # 0001_liver.png, 0001_tool.png, or liver_0001.png
            ways += [name[: cut.start()], name[cut.end() :]]
        if meant := max((way for way in ways if way in names), key=len, default=""):
            found.setdefault(meant, []).append(mask)
    several = [files for files in found.values() if len(files) > 1]
    if sum(map(len, several)) * 2 <= len(orphans) or not several:
        return None
    told = ", ".join(str(path.relative_to(mask_folder)) for path in several[0][:3])
    what = f"holds one file for each class of an image ({told}); read is one mask for each image"
    remedy = (
        "Write the files of an image into one mask of class ids (0 background, 1 the first class, …), called "
        "as the image; where classes overlap, the one in front counts."
    )
    return Fault(mask_folder, what, remedy)


def _without(name: str, words: Sequence[re.Pattern[str]]) -> str:
    for word in words:
        name = word.sub("", name)
    return name.casefold()


def _plain_stem(path: Path) -> str:
    name = unicodedata.normalize("NFC", path.stem)
    return _without(_without(name, _WORDS_OF_IMAGES), WORDS_OF_MASKS)


def _by_stem(files: Iterable[Path]) -> dict[str, list[Path]]:
    table: dict[str, list[Path]] = {}
    for path in files:
        table.setdefault(_plain_stem(path), []).append(path)
    return table


def by_name(folder: Path, files: list[Path], words: Sequence[re.Pattern[str]]) -> dict[str, list[Path]]:
    """Return the files of a folder by their names below it, without ending, case or any of the words."""
    table: dict[str, list[Path]] = {}
    for path in files:
        table.setdefault(_without(plain_name(path, folder), words), []).append(path)
    return table


FOLDER = DatasetMethod(
    name="folder",
    summary="your own folder with images/, masks/ and classes.json",
    example="rarescene check folder:/data/mine",
    list=list_folder,
    options=("images", "masks", "classes", "licence", "title"),
)
