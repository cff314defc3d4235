r"""One way to open any data set: `NAME:PATH`, or a YAML file.

| written | opened |
| --- | --- |
| `cholecseg8k:/data/CholecSeg8k` | CholecSeg8k as it is distributed |
| `cadis:/data/CaDIS` | CaDISv2 as it is distributed, in Setting 2 |
| `cadis:/data/CaDIS,setting=3` | the same in another setting |
| `cadis:/data/CaDIS,images=no` | its label maps alone, for a map generator |
| `sisvse:/data/SISVSE` | the real frames of SISVSE, with its three folds |
| `folder:/data/mine` | `images/`, `masks/` and `classes.json` |
| `set:/data/synthetic` | a scene set that `rarescene synthesize` wrote |
| `phantom:videos=12,frames=80,size=64,seed=0` | phantom scenes, drawn on demand; each may be left out |
| `phantom:videos=12,classes=sisvse` | phantom gastrectomies with the 32 classes of SISVSE |
| `phantom:/data/phantom` | phantom scenes that `rarescene phantom` wrote, whatever their layout |
| `mine.yaml` | a YAML file with `name` (one of the above), `path` (relative to the file) and options |

Options, in YAML, all with a sensible default: `group_by` (a regular expression that tells recordings apart),
for `cadis` `setting` and `images`, and for `folder` `images`, `masks`, `classes`, `licence` and `title`:

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
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.scenes.datasets.cadis import list_cadis
from rarescene.scenes.datasets.cholecseg8k import list_cholecseg8k
from rarescene.scenes.datasets.folder import list_folder
from rarescene.scenes.datasets.phantom.config import PhantomConfig
from rarescene.scenes.datasets.phantom.dataset import LICENCE as PHANTOM_LICENCE
from rarescene.scenes.datasets.phantom.dataset import phantom_scenes
from rarescene.scenes.datasets.sisvse import MASKS, list_sisvse
from rarescene.scenes.faults import Fault, Listing
from rarescene.scenes.scene import SceneSet
from rarescene.scenes.store import MANIFEST, list_set

_YAML = (".yaml", ".yml")
PHANTOM_MARK = "phantom.json"
"""The file that `rarescene phantom` leaves in a folder of phantom scenes."""

_FOLDER_OPTIONS = ("images", "masks", "classes", "licence", "title")
_CADIS_OPTIONS = ("setting", "images")
_TRAILING = {"cadis": re.compile(rf"(.*),({'|'.join(_CADIS_OPTIONS)})=([^,]*)")}
_NOTHING = re.compile(r"(?!)")


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


def list_scenes(spec: str | Path, *, group_by: str | None = None) -> Listing:
    """Return the scenes of a data set, and the faults that show without decoding; see `open_scenes`."""
    name, path, options = _understood(str(spec))
    if group_by is not None:
        options["group_by"] = group_by
    return _LISTERS[name](path, options)


def _understood(spec: str) -> tuple[str, str, dict[str, Any]]:
    if spec.lower().endswith(_YAML) and spec.partition(":")[0] not in _LISTERS:
        return _from_yaml(Path(spec))
    name, colon, path = spec.partition(":")
    options: dict[str, Any] = {}
    while match := _TRAILING.get(name, _NOTHING).fullmatch(path):
        path, key, value = match.groups()
        options.setdefault(key, value)
    if not colon or name not in _LISTERS:
        remedy = f"Write NAME:PATH with NAME one of {', '.join(_LISTERS)}, or give a YAML file."
        raise ConfigError(f"{spec!r} is not a data set", remedy)
    if not path and name != "phantom":
        raise ConfigError(f"{spec!r} has no path", f"Write {name}:/path/to/the/data.")
    return name, path, options


def _from_yaml(file: Path) -> tuple[str, str, dict[str, Any]]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot be read ({error.strerror})", "Check the path of the YAML file.", file
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not valid YAML ({error})", "Correct the file.", file) from error
    if not isinstance(content, dict) or content.get("name") not in _LISTERS:
        raise ConfigError("names no data set", f"Write `name:` with one of {', '.join(_LISTERS)}.", file)
    options = {str(key): value for key, value in content.items()}
    name, path = str(options.pop("name")), options.pop("path", None)
    if path is None and name != "phantom":
        raise ConfigError("has no `path`", "Write `path:` and the folder, relative to this file.", file)
    return name, "" if path is None else str(file.parent / str(path)), options


def _cholecseg8k(path: str, options: Mapping[str, Any]) -> Listing:
    _only(options, "group_by")
    return _in_folder(path, lambda root: list_cholecseg8k(root, options.get("group_by")))


def _cadis(path: str, options: Mapping[str, Any]) -> Listing:
    _only(options, "group_by", *_CADIS_OPTIONS)
    wish = str(options.get("images", "")).casefold()
    if wish not in _WISHES:
        raise ConfigError(f"images={wish} is neither yes nor no", "Leave it out, or write images=no.")
    setting = str(options.get("setting", "2"))
    return _in_folder(
        path,
        lambda root: list_cadis(root, options.get("group_by"), setting=setting, images=_WISHES[wish]),
    )


def _sisvse(path: str, options: Mapping[str, Any]) -> Listing:
    _only(options, "group_by")
    return _in_folder(path, lambda root: list_sisvse(root, options.get("group_by")))


def _folder(path: str, options: Mapping[str, Any]) -> Listing:
    _only(options, "group_by", *_FOLDER_OPTIONS)
    given = {key: str(value) for key, value in options.items()}
    if "title" in given:
        given["name"] = given.pop("title")
    group_by = given.pop("group_by", None)
    return _in_folder(path, lambda root: list_folder(root, group_by, **given))  # type: ignore[arg-type]


def _set(path: str, options: Mapping[str, Any]) -> Listing:
    _only(options, "group_by")
    return _in_folder(path, lambda root: list_set(root, options.get("group_by")))


def _phantom(path: str, options: Mapping[str, Any]) -> Listing:
    if not path or "=" in path:
        return Listing(_drawn({**options, **_phantom_options(path)}))
    root = Path(path).expanduser()
    if (root / MANIFEST).is_file():
        return _set(path, options)
    if (root / MASKS).is_dir():
        return _sisvse(path, options)
    if (root / "images").is_dir():
        return _folder(path, options)
    return _cholecseg8k(path, options)


_LISTERS: dict[str, Callable[[str, Mapping[str, Any]], Listing]] = {
    "cholecseg8k": _cholecseg8k,
    "cadis": _cadis,
    "sisvse": _sisvse,
    "folder": _folder,
    "phantom": _phantom,
    "set": _set,
}

_WISHES = {"": None, "yes": True, "true": True, "no": False, "false": False}

_PHANTOM = {"videos": 12, "frames": 80, "size": 64, "seed": 0}


def _drawn(options: Mapping[str, Any]) -> SceneSet:
    """Return phantom scenes that are drawn on demand; their name says all that they depend on."""
    _only(options, *_PHANTOM, "height", "width", "classes")
    numbers = {key: int(value) for key, value in {**_PHANTOM, **options}.items() if key != "classes"}
    size = numbers.pop("size")
    sizes = {"height": size, "width": size}
    config = PhantomConfig(**sizes | numbers, classes=options.get("classes", "cholecseg8k"))
    made = f"{config.videos},frames={config.frames},height={config.height},width={config.width}"
    kind = "" if config.classes == "cholecseg8k" else f",classes={config.classes}"
    return replace(phantom_scenes(config), name=f"phantom:videos={made},seed={config.seed}{kind}")


def _phantom_options(text: str) -> dict[str, Any]:
    """Return the options of `videos=12,frames=80,classes=sisvse`; all others are numbers."""
    options: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, _, value = (word.strip() for word in part.partition("="))
        if key != "classes" and not value.isdigit():
            remedy = "Write for instance phantom:videos=12,frames=80,size=64,seed=0,classes=sisvse."
            raise ConfigError(f"{part!r} is no number of a phantom data set", remedy)
        options[key] = value if key == "classes" else int(value)
    return options


def _in_folder(path: str, list_root: Callable[[Path], Listing]) -> Listing:
    root = Path(path).expanduser()
    if not root.is_dir():
        return Listing(None, (Fault.of(DataError("is not a folder", "Check the path of the data.", root)),))
    try:
        listing = list_root(root)
    except DataError as error:
        return Listing(None, (Fault.of(error),))
    if listing.scenes is not None and (root / PHANTOM_MARK).is_file():
        # Whatever layout they were written in, phantom scenes are never taken for surgical ones.
        return replace(listing, scenes=replace(listing.scenes, name="phantom", licence=PHANTOM_LICENCE))
    return listing


def _only(options: Mapping[str, Any], *known: str) -> None:
    for key in options:
        if key not in known:
            raise ConfigError(
                f"unknown option {key!r} of a data set", f"Known here: name, path, {', '.join(known)}."
            )
