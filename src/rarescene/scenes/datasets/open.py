r"""One way to open any data set: `NAME:PATH`, or a YAML file.

NAME is that of a data set of the house or of an installed package (`foundation.plugins`); each says in its
declaration which options it takes, and in the head of its file what lies where. For instance:

| written | opened |
| --- | --- |
| `cholecseg8k:/data/CholecSeg8k` | CholecSeg8k as it is distributed |
| `cadis:/data/CaDIS,setting=3` | CaDISv2, with an option |
| `folder:/data/mine` | `images/`, `masks/` and `classes.json` |
| `set:/data/synthetic` | a scene set that `rarescene synthesize` wrote |
| `phantom:videos=12,frames=80,size=64,seed=0` | phantom scenes, drawn on demand |
| `mine.yaml` | a YAML file with `name` (such as the above), `path` (relative to the file) and options |

Every data set takes `pad=WxH` (`pad=16x9`), the aspect to which its frames are padded, at the right or below,
where a size of another aspect would squash them; what is padded is unlabelled and never scored.

In YAML, every data set also takes `group_by`, a regular expression over scene names that tells recordings
apart:

```yaml
name: folder
path: data/hospital
images: frames
masks: labels
group_by: '(case\d+)'
```
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import yaml

from rarescene.foundation.console import say_once
from rarescene.foundation.errors import ConfigError, DataError
from rarescene.foundation.files import bounded, expanded, read_text
from rarescene.foundation.methods import DatasetMethod
from rarescene.foundation.plugins import by_command, package_of
from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.datasets.frames import list_frames
from rarescene.scenes.datasets.groups import regroup, told_apart
from rarescene.scenes.datasets.phantom.config import LICENCE as PHANTOM_LICENCE
from rarescene.scenes.datasets.phantom.config import MARK as PHANTOM_MARK
from rarescene.scenes.faults import Fault, Listing
from rarescene.scenes.scene import SceneSet
from rarescene.scenes.store import MANIFEST

_YAML = (".yaml", ".yml")
_PAD = "pad"


def open_scenes(spec: str | Path, *, group_by: str | None = None) -> SceneSet:
    """Open a data set; its files are decoded only when scenes are asked for.

    Args:
        spec: `NAME:PATH` or a YAML file, as the head of this module lists them.
        group_by: a regular expression over scene names that tells recordings apart; overrides the YAML
            file's.

    Raises:
        ConfigError: no such kind of data set or option.
        DataError: the folder does not hold such a data set, or files are missing.
    """
    return list_scenes(spec, group_by=group_by).opened()


def open_frames(root: Path, table: ClassTable, *, group_by: str | None = None) -> SceneSet:
    """Open a folder of images without masks, see `list_frames`, as scenes of which no pixel is labelled.

    Args:
        root: the folder; nested ones are found.
        table: the class table that the scenes bear.
        group_by: a regular expression over names that tells recordings apart.

    Raises:
        ConfigError: `group_by` is no regular expression.
        DataError: it is not a folder of images alone.
    """
    listing = _with_plain_names(list_frames(expanded(str(root)), table))
    for note in listing.notes:
        say_once(f"note: {note}")
    return told_apart(listing if group_by is None else regroup(listing, group_by)).opened()


def list_scenes(spec: str | Path, *, group_by: str | None = None) -> Listing:
    """Return the scenes of a data set, and the faults that show without decoding; see `open_scenes`."""
    method, path, options = understood(str(spec))
    pattern = options.pop("group_by", None)
    if group_by is not None:
        pattern = group_by
    pad = None if _PAD in method.options else options.pop(_PAD, None)
    unknown = next((name for name in options if name not in method.options), None)
    if unknown is not None:
        refuse_option(unknown, method)
    listing = _list_folder(method, path, options) if method.folder else method.list(path, **options)
    listing = _with_plain_names(listing)
    listing = told_apart(listing if pattern is None else regroup(listing, pattern))
    if pad is None or listing.scenes is None:
        return listing
    return replace(listing, scenes=replace(listing.scenes, pad=_aspect(pad)))


def _aspect(text: str) -> tuple[int, int]:
    """Return the width and height of an aspect such as 16x9."""
    found = re.fullmatch(r"([1-9]\d{0,4})[x×]([1-9]\d{0,4})", text)
    if found is None:
        raise ConfigError(f"pad={text} is no aspect", "Write width and height: pad=1x1, or pad=16x9.")
    return int(found[1]), int(found[2])


def _with_plain_names(listing: Listing) -> Listing:
    """Take out scenes whose file names are not UTF-8, which no record could hold; each is a fault."""
    if listing.scenes is None:
        return listing
    records = listing.scenes.records
    plain = [not re.search("[\ud800-\udfff]", record.name + record.group) for record in records]
    if all(plain):
        return listing
    remedy = "Rename it: names of scenes become part of records, which are UTF-8."
    faults = [
        Fault(record.image or record.mask, "has a name that is not UTF-8", remedy)
        for record, well in zip(records, plain, strict=True)
        if not well
    ]
    kept = listing.scenes.subset(index for index, well in enumerate(plain) if well)
    return replace(listing, scenes=kept if len(kept) else None, faults=(*listing.faults, *faults))


def brought_by(spec: str | Path) -> str:
    """Return the package, and its version, that reads a data set; nothing where it is ours."""
    return package_of(understood(str(spec))[0]).get("package", "")


def refuse_option(name: str, method: DatasetMethod) -> NoReturn:
    """Raise the `ConfigError` for an option that a data set does not take."""
    known = ", ".join(("name", "path", "group_by", _PAD, *method.options))
    raise ConfigError(f"unknown option {name!r} of a data set", f"{method.command} knows: {known}.")


def understood(spec: str) -> tuple[DatasetMethod, str, dict[str, str]]:
    """Return the data set that a spec names, its path, and its options as text.

    Raises:
        ConfigError: it names none.
    """
    known: Mapping[str, DatasetMethod] = by_command("datasets")
    name, colon, path = spec.partition(":")
    if spec.lower().endswith(_YAML) and name not in known:
        return _from_yaml(Path(spec), known)
    if not colon or name not in known:
        remedy = f"Write NAME:PATH with NAME one of {', '.join(known)}, or give a YAML file."
        if Path(spec).is_dir():
            kind = "set" if (Path(spec) / MANIFEST).is_file() else "folder"
            remedy = f"Did you mean {kind}:{spec}? {remedy}"
        elif colon:
            remedy += f" If {name!r} is somebody's own, install the package that brings it."
        raise ConfigError(f"{spec!r} is not a data set", remedy)
    method, options = known[name], dict[str, str]()
    names = "|".join(map(re.escape, (*method.options, _PAD)))
    option = re.compile(rf"(?:(.*),)?\s*({names})\s*=\s*([^,]*?)\s*,?")
    while match := option.fullmatch(path):
        path = match[1] or ""
        options.setdefault(match[2], match[3])
    if method.folder and not path:
        raise ConfigError(f"{spec!r} has no path", f"Write {name}:/path/to/the/data.")
    return method, path, options


def _from_yaml(file: Path, known: Mapping[str, DatasetMethod]) -> tuple[DatasetMethod, str, dict[str, str]]:
    try:
        content = bounded(yaml.safe_load(read_text(file)), most=10_000)
    except OSError as error:
        raise ConfigError(
            f"cannot be read ({error.strerror})", "Check the path of the YAML file.", file
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"is not valid YAML ({error})", "Correct the file.", file) from error
    method = known.get(str(content.get("name"))) if isinstance(content, dict) else None
    if method is None:
        raise ConfigError("names no data set", f"Write `name:` with one of {', '.join(known)}.", file)
    options = {str(key): str(value) for key, value in content.items() if value is not None}
    del options["name"]
    path = options.pop("path", None)
    if path is None and method.folder:
        raise ConfigError("has no `path`", "Write `path:` and the folder, relative to this file.", file)
    return method, "" if path is None else str(file.parent / path), options


def _list_folder(method: DatasetMethod, path: str, options: Mapping[str, str]) -> Listing:
    root = expanded(path)
    if not root.is_dir():
        return Listing(None, (Fault.of(DataError("is not a folder", "Check the path of the data.", root)),))
    try:
        listing = method.list(root, **options)
    except DataError as error:
        return Listing(None, (Fault.of(error),))
    if listing.scenes is None and not listing.faults:
        nothing = Fault(root, f"holds no scenes of {method.command}", "Give the folder that holds its files.")
        return replace(listing, faults=(nothing,))
    if listing.scenes is not None and (root / PHANTOM_MARK).is_file():
        # Whatever layout they were written in, phantom scenes are never taken for surgical ones.
        return replace(listing, scenes=replace(listing.scenes, name="phantom", licence=PHANTOM_LICENCE))
    return listing
