"""What all formats share: a folder that appears whole, scenes decoded by threads, what is told of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.foundation.files import atomic_folder, write_json, write_text
from rarescene.foundation.outputs import alone_in, sweep
from rarescene.scenes.export.cases import SYNTHETIC, Case, Export
from rarescene.scenes.scene import Scene
from rarescene.scenes.split import PARTS

TOLD = "rarescene.json"
CARD = "README.md"
Progress = Callable[[int, int], None]

_BLOCK = 64  # scenes that are in memory at once
Result = TypeVar("Result")


def need_empty_folder(folder: Path) -> None:
    """Refuse a folder that holds something; what an export that was killed there left beside it goes.

    Raises:
        ConfigError: `folder` is neither missing nor empty, or somebody else exports to it.
        DataError: the folder that it lies in cannot be written to.
    """
    folder = Path(folder)
    try:
        _need_empty(folder)
    except ConfigError:
        sweep(_home_of(folder), folder)
        raise


def _need_empty(folder: Path) -> None:
    if folder.is_symlink() and not folder.exists():
        raise ConfigError("is a link to nothing", "Choose another --out.", folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "is not empty" if folder.is_dir() else "is a file"
        raise ConfigError(what, "Choose another --out: an export is written whole, never added to.", folder)


def _home_of(folder: Path) -> Path:
    """Return where the lock of an export lies, and the files that are not whole yet."""
    place = folder.resolve()
    return place.parent / f".{place.name}.partial"


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it takes the place of `folder`, on failure nothing is left.

    Raises:
        ConfigError: `folder` holds something, or somebody else exports to it.
        DataError: the disk is full, or the folder cannot be written to.
    """
    need_empty_folder(folder)
    folder = Path(folder).resolve()
    with alone_in(_home_of(folder), folder):
        try:
            with atomic_folder(folder) as whole:
                yield whole
                _need_empty(folder)
        except OSError as error:
            what = f"could not be written ({error.strerror or error})"
            raise DataError(what, "Free some space or choose another folder.", folder) from error


def each_case(
    export: Export, work: Callable[[Case, Scene], Result], progress: Progress | None = None
) -> Iterator[tuple[Case, Result]]:
    """Decode every scene, hand it to `work` in one of several threads, and yield the results in order."""
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        for start in range(0, len(export), _BLOCK):
            block = export.cases[start : start + _BLOCK]
            results = pool.map(lambda case: work(case, export.read(case)), block)
            for place, (case, result) in enumerate(zip(block, results, strict=True), start=1):
                yield case, result
                if progress:
                    progress(start + place, len(export))


def write_told(folder: Path, export: Export, layout: str, more: Mapping[str, Any] | None = None) -> None:
    """Write what is known of the whole and of each scene to `rarescene.json`."""
    value = {
        "title": export.title,
        "layout": layout,
        "licence": export.licence,
        "phantom": export.phantom,
        "notes": list(export.notes),
        "classes": export.classes.to_dict(),
        "size": None if export.size is None else list(export.size),
        "sources": [
            {
                "name": source.scenes.name,
                "licence": source.scenes.licence,
                "synthetic": source.synthetic,
                "phantom": source.phantom,
                "seen": list(source.seen),
            }
            for source in export.sources
        ],
        **(more or {}),
        "cases": {case.name: case.told() for case in export.cases},
    }
    write_json(folder / TOLD, value)


def write_card(folder: Path, export: Export, layout: str, opened: str, head: str = "") -> None:
    """Write the card of an export.

    Args:
        folder: of the export.
        export: what was exported.
        layout: its format, in words.
        opened: how it is opened, Markdown.
        head: what stands before the title.
    """
    size = "at its own size" if export.size is None else f"resized to {export.size[1]}×{export.size[0]}"
    parts = [
        f"# {export.title}",
        f"{len(export):,} scenes with masks, as {layout}, each {size}. {_whose(export.synthetic)}",
        *(f"> **{note}**" for note in export.notes),
        *_phantom(export),
        "## Licence",
        _bullets([f"{source.scenes.name}: {source.scenes.licence}" for source in export.sources])
        + "\n\nThe licence of real frames may bind what was learned from them, synthetic scenes included.",
        "## Parts",
        _table(
            ("part", "frames of the data", "synthetic scenes", "recordings of the frames"),
            [row for part in PARTS for row in _part(export, part)],
        ),
        *_seen(export),
        "## Classes",
        _table(("id", "class"), [(str(entry.id), entry.name) for entry in export.classes.classes]),
        "## How it is opened",
        opened,
        f"`{TOLD}` tells the source, recording, generator, seed and request of every scene. Exported by "
        "rarescene.",
    ]
    write_text(folder / CARD, head + "\n\n".join(parts) + "\n")


def _whose(synthetic: int) -> str:
    if not synthetic:
        return "None is synthetic."
    return (
        f"{synthetic:,} are **synthetic**: drawn by a generator, marked in `{TOLD}`, their names begin with "
        f"`{SYNTHETIC}`. They only train, and none may be taken for a real frame."
    )


def _phantom(export: Export) -> list[str]:
    phantom = [source.scenes.name for source in export.sources if source.phantom]
    if not phantom:
        return []
    return [
        f"> **Phantom scenes: procedural pictures, or drawn after such ({', '.join(phantom)}). No surgery.**"
    ]


def _part(export: Export, part: str) -> Iterator[tuple[str, ...]]:
    cases = export.of_part(part)
    if cases:
        kinds = Counter(case.source.synthetic for case in cases)
        recordings = sorted({case.record.group for case in cases if not case.source.synthetic})
        yield part, f"{kinds[False]:,}", f"{kinds[True]:,}", ", ".join(recordings)


def _seen(export: Export) -> list[str]:
    seen = sorted({recording for source in export.sources for recording in source.seen})
    if not seen:
        return []
    return [
        "The synthetic scenes were made from these recordings, on which nothing that trained with them may "
        f"be tested: {', '.join(seen)}."
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells)


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
