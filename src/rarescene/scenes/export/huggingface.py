"""Hugging Face `datasets`: Parquet by split, with images and masks inside, and a card. It opens without code.

Parquet rather than an image folder, since its columns have types: from `metadata.jsonl`, recordings that are
called 2024-03-12 would be read as points in time.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from rarescene.foundation.errors import ConfigError
from rarescene.scenes.export.cases import Case, Export
from rarescene.scenes.export.writing import Progress, each_case, whole_folder, write_card, write_told
from rarescene.scenes.scene import Scene
from rarescene.scenes.split import PARTS

_ROWS = 64  # in a row group, which readers load as a whole
_SHARD = 500_000_000  # bytes of images and masks in a file, as the hub advises
_LICENCES = ("cc-by-nc-sa-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "cc-by-4.0", "cc0-1.0", "mit", "apache-2.0")


def write_huggingface(export: Export, folder: Path, progress: Progress | None = None) -> Path:
    """Write an export for `datasets.load_dataset(folder)`; the folder appears whole or not at all.

    Args:
        export: the scenes.
        folder: to write; missing or empty.
        progress: called with the number of scenes written and the number of all.

    Returns:
        The folder.

    Raises:
        ConfigError: the folder is not empty, or the extra `export` is not installed.
        DataError: a scene is unusable, or the disk is full.
    """
    if find_spec("datasets") is None:
        remedy = "Install it: pip install 'rarescene[export]'."
        raise ConfigError("the package `datasets` is not installed", remedy)

    def work(case: Case, scene: Scene) -> dict[str, Any]:
        return _row(case, scene, len(export.classes))

    with whole_folder(folder) as out:
        (out / "data").mkdir()
        with closing(_ShardWriter(out / "data", export)) as writer:
            for case, row in each_case(export, work, progress):
                writer.add(case.part, row)
        parts = [part for part in PARTS if export.of_part(part)]
        write_told(out, export, "Hugging Face datasets")
        write_card(out, export, "a Hugging Face data set", _opened(export), _head(export, parts))
    return Path(folder)


class _ShardWriter:
    """Writes rows, which come part by part, to `train-00000.parquet` and its followers."""

    def __init__(self, folder: Path, export: Export) -> None:
        from datasets import ClassLabel, Features, List, Value
        from datasets import Image as ImageFeature

        names = list(export.classes.names)
        text, flag = Value("string"), Value("bool")
        self._folder = folder
        self._schema = Features(
            {
                "name": text, "image": ImageFeature(), "mask": ImageFeature(),
                "synthetic": flag, "phantom": flag, "source": text,
                "recording": text, "order": Value("int64"), "generator": text, "request": text,
                "classes": List(ClassLabel(names=names)), "details": text,
            }
        ).arrow_schema  # fmt: skip
        self._part, self._shard, self._bytes = "", 0, 0
        self._rows: list[dict[str, Any]] = []
        self._file: Any = None

    def add(self, part: str, row: dict[str, Any]) -> None:
        if part != self._part or self._bytes >= _SHARD:
            self.close()
            self._shard = 0 if part != self._part else self._shard + 1
            self._part = part
        self._rows.append(row)
        self._bytes += len(row["image"]["bytes"]) + len(row["mask"]["bytes"])
        if len(self._rows) == _ROWS:
            self._flush()

    def close(self) -> None:
        """End the file that is open."""
        if self._rows:
            self._flush()
        if self._file is not None:
            self._file.close()
        self._file, self._bytes = None, 0

    def _flush(self) -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        if self._file is None:
            path = self._folder / f"{self._part}-{self._shard:05d}.parquet"
            self._file = ParquetWriter(path, self._schema)
        self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []


def _row(case: Case, scene: Scene, classes: int) -> dict[str, Any]:
    told = case.told()
    present = np.flatnonzero(np.bincount(scene.mask.ravel(), minlength=256)[:classes])
    kept = ("synthetic", "phantom", "source", "recording", "order", "generator", "request")
    return {name: told[name] for name in kept} | {
        "name": case.name,
        "image": {"bytes": _png(scene.image), "path": f"{case.name}.png"},
        "mask": {"bytes": _png(scene.mask), "path": f"{case.name}_mask.png"},
        "classes": present.tolist(),
        "details": json.dumps(told["details"], ensure_ascii=False),
    }


def _png(pixels: np.ndarray) -> bytes:
    """Return an image, or a mask as gray ids: a palette would be turned into colours by `convert("RGB")`."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _head(export: Export, parts: list[str]) -> str:
    """Return the YAML head that the hub and `load_dataset` read."""
    synthetic = any(source.synthetic for source in export.sources)
    files = [{"split": part, "path": f"data/{part}-*.parquet"} for part in parts]
    head = {
        **_licence(export.licence),
        "pretty_name": export.title,
        "task_categories": ["image-segmentation"],
        "tags": ["medical", *["synthetic"] * synthetic, *["phantom"] * export.phantom],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n"


def _licence(licence: str) -> dict[str, Any]:
    """Return the hub's ids of all licences, or "other" with its name where one of them has none."""
    ids = [next(_ids(part), None) for part in licence.split(" + ")]
    if None in ids:
        return {"license": "other", "license_name": licence}
    return {"license": ids[0] if len(ids) == 1 else ids}


def _ids(licence: str) -> Iterator[str]:
    words = licence.casefold().replace("-", " ")
    return (known for known in _LICENCES if known.replace("-", " ") in words)


def _opened(export: Export) -> str:
    return (
        "```python\nfrom datasets import load_dataset\n\n"
        'scenes = load_dataset("path/of/this/folder")\n```\n\n'
        f"`mask` holds class ids in gray; {export.classes.ignore_index} is not labelled. `classes` lists the "
        "classes that a scene shows, `details` is JSON. Without the synthetic scenes: "
        '`scenes["train"].filter(lambda drawn: not drawn, input_columns="synthetic")`. '
        "A part without scenes has no split."
    )
