"""A user's own folder: `images/`, `masks/` and `classes.json`.

Masks hold class ids (one channel, or a palette, or three equal channels) or colours, which are looked up
exactly. `classes.json` is `ClassTable.to_dict()`; besides, a class may list the raw `"values"` that stand for
it in the masks when they are not 0 to C-1, and the table may list raw values that are unlabelled as
`"ignore_values"`. White and the ignore index are unlabelled unless they are a class.

An image and its mask have the same relative path, apart from the ending, from upper and lower case, and from
a word such as `_mask` or `_label` at the end of the mask's name (`_image` or `_img` at the end of the
image's).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rarescene.foundation.errors import DataError, RareSceneError
from rarescene.foundation.methods import DatasetMethod
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.datasets.groups import default_group, frame_number
from rarescene.scenes.datasets.infer_classes import propose_from
from rarescene.scenes.faults import Fault, Listing
from rarescene.scenes.pairs import MaskCode, list_pairs
from rarescene.scenes.rasters import IMAGE_SUFFIXES, MASK_FOLDERS, walk_files
from rarescene.scenes.scene import SceneRecord

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "frames")
CLASSES_FILE = "classes.json"

_IMAGE_WORD = re.compile(r"[-_. ](image|img|rgb)$", re.IGNORECASE)
_MASK_WORD = re.compile(
    r"[-_. ](watershed_mask|color_mask|mask|masks|label|labels|labelids|seg|segmentation|gt|annotation)$",
    re.IGNORECASE,
)


def list_folder(
    root: Path,
    *,
    images: str | None = None,
    masks: str | None = None,
    classes: str | None = None,
    title: str = "",
    licence: str = "unknown",
) -> Listing:
    """List the pairs of a folder, named by their relative paths without ending, see also `default_group`.

    Args:
        root: the folder.
        images: the folder of images within `root`; by default the one with an obvious name.
        masks: the folder of masks within `root`, likewise. It may be the folder of the images; masks are then
            the files whose names end in a word such as `_mask`.
        classes: the class table; by default `classes.json` in `root`.
        title: what the data set is called; by default as the folder.
        licence: the licence of the data, which every run folder repeats.
    """
    image_folder = _find_folder(root, images, IMAGE_FOLDERS, "images")
    mask_folder = _find_folder(root, masks, MASK_FOLDERS, "masks")
    image_files, mask_files = _files(image_folder, mask_folder)
    pairs, faults = _pairs(image_folder, image_files, mask_folder, mask_files)
    table_file = root / (classes or CLASSES_FILE)
    try:
        code = read_classes(table_file, [mask for _, _, mask in pairs])
    except RareSceneError as error:
        return Listing(None, (Fault.of(error), *faults))

    alone = root.resolve().name
    records = (
        SceneRecord(name, default_group(name, alone), frame_number(name) or 0, image, mask)
        for name, image, mask in pairs
    )
    return list_pairs(code, records, licence, faults, name=title or alone)


def read_classes(path: Path, masks: Iterable[Path] = ()) -> MaskCode:
    """Return what the masks mean, from `classes.json`.

    Raises:
        DataError: the file is missing (the message proposes one, made from `masks`) or not understood.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("expected an object with the field `classes`")
        return _code(content)
    except FileNotFoundError:
        raise _without_table(path, list(masks)) from None
    except RareSceneError as error:
        raise DataError(error.what, error.remedy, path) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        remedy = (
            f"Correct it; `rarescene check folder:{path.parent} --write-classes` writes one when it is away."
        )
        raise DataError(f"is not a class table ({error})", remedy, path) from error


def _code(content: Mapping[str, Any]) -> MaskCode:
    table = ClassTable.from_dict(content)
    values: dict[int, int] = {}
    for entry in content["classes"]:
        for value in entry.get("values", [entry["id"]]):
            if not 0 <= int(value) <= 255:
                raise ValueError(f"the value {value} is no byte")
            if values.setdefault(int(value), int(entry["id"])) != int(entry["id"]):
                raise ValueError(f"two classes share the mask value {value}")
    for value in content.get("ignore_values", []):
        if int(value) in values:
            raise ValueError(f"the mask value {value} is both a class and ignored")
        values[int(value)] = table.ignore_index
    values.setdefault(table.ignore_index, table.ignore_index)
    colours = [entry.colour for entry in table.classes]
    if len(set(colours)) < len(colours):
        colours = []  # colours that classes share tell nothing; the masks must hold ids
    code = MaskCode.plain(table)
    return MaskCode(table, values, code.colours if colours else {})


def _without_table(path: Path, masks: list[Path]) -> DataError:
    command = f"`rarescene check folder:{path.parent} --write-classes`"
    try:
        proposal = json.dumps(propose_from(masks, path.parent.resolve().name), ensure_ascii=False)
        proposal = proposal.replace('{"id"', '\n  {"id"')
    except RareSceneError as error:
        return DataError(
            f"is missing, and none can be proposed: {error}", "Write the class table by hand.", path
        )
    remedy = (
        f"Save this, made from the masks, with the real names in it; {command} writes it for you:\n{proposal}"
    )
    return DataError("is missing: what the values of the masks mean is not known", remedy, path)


def _find_folder(root: Path, given: str | None, obvious: tuple[str, ...], kind: str) -> Path:
    if given is not None:
        if not (root / given).is_dir():
            raise DataError(
                f"the folder of {kind} is missing", f"Correct `{kind}:` in the YAML file.", root / given
            )
        return root / given
    folders = {path.name.casefold(): path for path in sorted(root.iterdir()) if path.is_dir()}
    for name in obvious:
        if name in folders:
            return folders[name]
    found = ", ".join(sorted(folders)) or "no folder"
    remedy = f"Make a folder `{kind}` in it, or name yours in a YAML file with `{kind}: NAME`."
    raise DataError(f"has no folder of {kind} (found: {found})", remedy, root)


def _files(image_folder: Path, mask_folder: Path) -> tuple[list[Path], list[Path]]:
    images, masks = walk_files(image_folder), walk_files(mask_folder)
    if image_folder.resolve() == mask_folder.resolve():
        masks = [path for path in masks if _MASK_WORD.search(path.stem)]
        images = [path for path in images if not _MASK_WORD.search(path.stem)]
    return images, masks


def _pairs(
    image_folder: Path, images: list[Path], mask_folder: Path, masks: list[Path]
) -> tuple[list[tuple[str, Path, Path]], list[Fault]]:
    """Return (name, image, mask) of each pair, and what has no counterpart or too many."""
    faults: list[Fault] = []
    if not images:
        endings = ", ".join(sorted(IMAGE_SUFFIXES))
        faults.append(Fault(image_folder, "holds no images", f"Put the frames there; read are {endings}."))
    exact, shortened = _keyed(mask_folder, masks, None), _keyed(mask_folder, masks, _MASK_WORD)
    pairs, used, seen = [], set(), dict[str, Path]()
    for image in images:
        name = image.relative_to(image_folder).with_suffix("").as_posix()
        keys = dict.fromkeys((name.casefold(), _IMAGE_WORD.sub("", name).casefold()))
        if name.casefold() in seen:
            remedy = "Rename or remove one of the two."
            faults.append(Fault(image, f"has the same name as {seen[name.casefold()].name}", remedy))
            continue
        seen[name.casefold()] = image
        matches = next((table[key] for table in (exact, shortened) for key in keys if key in table), [])
        used.update(matches)
        if not matches:
            remedy = f"Add a mask called {Path(name).name}.png to {mask_folder}, or remove the image."
            faults.append(Fault(image, "has no mask", remedy))
        elif len(matches) > 1:
            others = ", ".join(path.name for path in matches)
            faults.append(
                Fault(image, f"has several masks: {others}", "Keep one of them in the folder of masks.")
            )
        else:
            pairs.append((name, image, matches[0]))
    orphans = [mask for mask in masks if mask not in used]
    faults += [
        Fault(mask, "is a mask without an image", "Add its image, or remove the mask.") for mask in orphans
    ]
    return pairs, faults


def _keyed(folder: Path, files: list[Path], word: re.Pattern[str] | None) -> dict[str, list[Path]]:
    table: dict[str, list[Path]] = {}
    for path in files:
        name = path.relative_to(folder).with_suffix("").as_posix()
        key = word.sub("", name) if word else name
        table.setdefault(key.casefold(), []).append(path)
    return table


FOLDER = DatasetMethod(
    name="folder",
    summary="your own folder with images/, masks/ and classes.json",
    example="rarescene check folder:/data/mine",
    list=list_folder,
    options=("images", "masks", "classes", "licence", "title"),
)
