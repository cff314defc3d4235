"""What most commands begin with: open the data, split it, decode it once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.run_record import RECORD, RunRecord, Seen, read_record
from rarescene.scenes import (
    ClassTable,
    SceneCache,
    SceneSet,
    Split,
    looks_at_classes,
    open_scenes,
    split_scenes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CONSOLE = Console(highlight=False, emoji=False)
PARTS = ("train", "validation", "test", "all")


@dataclass(frozen=True)
class Data:
    """A data set, opened and split.

    Attributes:
        spec: how it was named on the command line.
        scenes: all of it.
        split: indices of the training, validation and test scenes.
        options: how they were split, in the words of the command line; run records repeat them.
    """

    spec: str
    scenes: SceneSet
    split: Split
    options: Mapping[str, Any]

    def part(self, name: str) -> tuple[int, ...]:
        """Return the indices of "train", "validation", "test" or "all" scenes."""
        if name not in PARTS:
            raise ConfigError(f"there is no part {name!r} of a split", f"Choose one of {', '.join(PARTS)}.")
        return tuple(range(len(self.scenes))) if name == "all" else getattr(self.split, name)

    def places(self, indices: Iterable[int]) -> list[tuple[str, int]]:
        """Return recording and frame order of scenes, by which leaks are found."""
        records = self.scenes.records
        return [(records[index].group, records[index].order) for index in indices]

    def seen(self, part: str) -> Seen:
        """Return what a model trained on this part has seen."""
        used = self.part(part)
        if self.split.warning is None:
            return Seen.of(self.places(used))
        return Seen.of(self.places(used), self.places(set(range(len(self.scenes))).difference(used)))

    def recordings(self) -> dict[str, list[str]]:
        """Return the recordings of each part, sorted."""
        return {name: sorted({group for group, _ in self.places(self.part(name))}) for name in PARTS[:3]}

    def describe(self, *sources: RunRecord) -> dict[str, Any]:
        """Return what a run record says of the data; `sources` are earlier runs that the run builds upon."""
        licences = [
            self.scenes.licence,
            *(part for source in sources for part in source.data["licence"].split(" + ")),
        ]
        return {
            "spec": self.spec,
            "name": self.scenes.name,
            "licence": " + ".join(dict.fromkeys(licences)),
            "phantom": _says_phantom(self.scenes.name) or any(map(is_phantom, sources)),
            "scenes": len(self.scenes),
            "split": self.split.how,
        }


def is_phantom(record: RunRecord) -> bool:
    """Return whether a run, or a run that it builds upon, was made from phantom scenes."""
    return bool(record.data.get("phantom")) or _says_phantom(record.data["name"])


def _says_phantom(name: str) -> bool:
    return name.partition(":")[0] == "phantom"


def open_data(
    spec: str,
    split: str,
    split_seed: int,
    fractions: Sequence[float] | None = None,
    group_by: str | None = None,
) -> Data:
    """Open and split a data set, and say aloud what a split through recordings means.

    A split by recording looks at which classes each recording shows, so that as many as possible can be
    scored; for that the data are decoded once at thumbnail size.
    """
    scenes = open_scenes(spec, group_by=group_by)
    shares = None if fractions is None else (fractions[0], fractions[1], fractions[2])
    pixels = (
        decode(scenes, 64, 64, images=scenes.has_images).class_pixels if looks_at_classes(split) else None
    )
    divided = split_scenes(scenes, split, shares, split_seed, pixels)
    if divided.warning:
        _say_once(f"note: {divided.warning}")
    if divided.note:
        _say_once(f"note: {divided.note}")
    options = {"split": split, "fractions": fractions, "split_seed": split_seed, "group_by": group_by}
    return Data(spec, scenes, divided, options)


def open_as_in(
    record: RunRecord, spec: str | None = None, *, split: str | None = None, group_by: str | None = None
) -> Data:
    """Open data split as those of a run were, by default the very data of the run.

    What is given replaces what the run used; another split takes its own usual fractions.

    Raises:
        CheckpointError: the record does not say how its data were split.
    """
    try:
        rule, seed, fractions, pattern = (
            record.config[name] for name in ("split", "split_seed", "fractions", "group_by")
        )
    except KeyError as error:
        remedy = "Run the command again that wrote it."
        raise CheckpointError(
            f"the run record does not say {error} of its data", remedy, Path(RECORD)
        ) from error
    return open_data(
        spec or record.data["spec"], split or rule, seed, None if split else fractions, group_by or pattern
    )


def open_unsplit(spec: str) -> Data:
    """Open a data set all of which is the test part, as a synthetic set is."""
    scenes = open_scenes(spec)
    whole = Split((), (), tuple(range(len(scenes))), "none")
    return Data(spec, scenes, whole, {"split": None, "fractions": None, "split_seed": 0, "group_by": None})


def class_ids(table: ClassTable, names: str) -> tuple[int, ...]:
    """Return the ids of comma-separated class names. Raises `ConfigError` for an unknown one."""
    return table.ids_of(name.strip() for name in names.split(",") if name.strip())


def decode(scenes: SceneSet, height: int, width: int, *, images: bool = True) -> SceneCache:
    """Return the scenes at this size from the cache on disk, where they are decoded to once, with a bar.

    Raises:
        DataError: `images` are wanted and the data set has none; said before anything is decoded.
    """
    with progress("decoding") as advance:
        return SceneCache.build(scenes, height, width, images=images, progress=advance)


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; yields a function of (done, total)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=CONSOLE)
    task = bar.add_task(label, total=None)

    def advance(done: int, total: int) -> None:
        bar.start()  # once; nothing is shown where nothing is to be done
        bar.update(task, completed=done, total=total)

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()


def fresh_folder(out: Path, resume: bool, what: str) -> None:
    """Refuse a folder that holds something already, unless the command is to go on with it.

    A run record alone is what a command leaves that failed before its first step, and is no reason to refuse.
    """
    if not resume and out.is_dir() and any(entry.name != RECORD for entry in out.iterdir()):
        raise ConfigError(
            "is not empty", f"Choose another --out, or add --resume to go on with the {what} in it.", out
        )
    if out.exists() and not out.is_dir():
        raise ConfigError("is a file", "Choose a folder for --out.", out)


def same_run(out: Path, record: RunRecord) -> None:
    """Refuse to go on with a run that was begun otherwise; only the training loop's settings may change.

    Raises:
        CheckpointError: the folder holds another kind of run, or its record is damaged.
        ConfigError: options or data differ from those that the run was begun with.
    """
    if not (out / RECORD).is_file():
        return
    earlier, now = (_begun_with(one) for one in (read_record(out, record.kind), record))
    changed = [name for name in now if earlier.get(name) != now[name]]
    if changed:
        remedy = "Repeat the options that the run was begun with, or choose another --out."
        raise ConfigError(f"the run was begun with another {', '.join(changed)}", remedy, out / RECORD)


def _begun_with(record: RunRecord) -> dict[str, Any]:
    """Return what a resumed run must have in common with the one that was begun, as JSON values by name."""
    value = json.loads(json.dumps(asdict(record)))
    config = {name: entry for name, entry in value["config"].items() if name != "training"}
    if isinstance(config.get("model"), dict):
        config["model"].pop("training", None)
    data = {
        f"number of {name}" if name == "scenes" else name: value["data"].get(name)
        for name in ("name", "scenes")
    }
    return config | data | {name: value[name] for name in ("seed", "recordings", "class_table")}


def say(text: str) -> None:
    """Print a line as it is: brackets in it are no markup, and a path is not broken over lines."""
    CONSOLE.print(text, markup=False, soft_wrap=True)


@cache
def _say_once(text: str) -> None:
    """Print a line unless this process has printed it before: one command may open its data several times."""
    say(text)


def is_main_process() -> bool:
    """Return whether this is the only process, or the first of those that torchrun started."""
    from rarescene.training import this_rank

    return bool(this_rank().is_main_process)


def processes() -> int:
    """Return how many processes torchrun started; 1 without it."""
    from rarescene.training import this_rank

    return int(this_rank().num_processes)


def accelerator() -> str | None:
    """Return the names of the GPUs, for a run record; None without one."""
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join(names) or None
