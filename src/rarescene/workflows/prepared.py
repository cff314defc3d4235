"""What most commands begin with: open the data, split it, decode it once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.run_record import Seen
from rarescene.scenes import SceneCache, SceneSet, Split, open_scenes, split_scenes

if TYPE_CHECKING:
    from collections.abc import Callable

CONSOLE = Console(highlight=False)
PARTS = ("train", "validation", "test", "all")


@dataclass(frozen=True)
class Data:
    """A data set, opened and split.

    Attributes:
        spec: how it was named on the command line.
        scenes: all of it.
        split: indices of the training, validation and test scenes.
    """

    spec: str
    scenes: SceneSet
    split: Split

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
        return Seen.of(self.places(self.part(part)), whole_recordings=self.split.warning is None)

    def recordings(self) -> dict[str, list[str]]:
        """Return the recordings of each part, sorted."""
        return {name: sorted({group for group, _ in self.places(self.part(name))}) for name in PARTS[:3]}

    def describe(self) -> dict[str, Any]:
        """Return what a run record says of the data."""
        return {
            "spec": self.spec,
            "name": self.scenes.name,
            "licence": self.scenes.licence,
            "scenes": len(self.scenes),
            "split": self.split.how,
        }


def open_data(
    spec: str,
    split: str,
    split_seed: int,
    fractions: Sequence[float] | None = None,
    group_by: str | None = None,
) -> Data:
    """Open and split a data set, and say aloud what a split through recordings means.

    A split by recording looks at which classes each recording shows, so that as many as possible can be scored; for
    that the data are decoded once at thumbnail size.
    """
    scenes = open_scenes(spec, group_by=group_by)
    shares = None if fractions is None else (fractions[0], fractions[1], fractions[2])
    pixels = decode(scenes, 64, 64).class_pixels if split in ("recording", "gauda") else None
    divided = split_scenes(scenes, split, shares, split_seed, pixels)
    if divided.warning:
        CONSOLE.print(f"[yellow]note[/] {divided.warning}", soft_wrap=True)
    return Data(spec, scenes, divided)


def decode(scenes: SceneSet, height: int, width: int) -> SceneCache:
    """Return the scenes at this size, from the cache on disk; decoded once, with a progress bar, if they are not there."""
    with progress("decoding") as advance:
        return SceneCache.build(scenes, height, width, progress=advance)


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; yields a function of (done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=CONSOLE) as bar:
        task = bar.add_task(label, total=None, visible=False)  # nothing is shown where nothing is to be done
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def fresh_folder(out: Path, resume: bool, what: str) -> None:
    """Refuse a folder that holds something already, unless the command is to go on with it."""
    if not resume and out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty", f"Choose another --out, or add --resume to go on with the {what} in it.")
