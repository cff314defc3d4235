"""All cells of a study: parts of the data × seeds × segmenters × arms, trained one by one."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rarescene.foundation.console import say
from rarescene.foundation.errors import ConfigError, RareSceneError, machine_fault
from rarescene.foundation.files import write_json
from rarescene.foundation.seeds import derive_seed
from rarescene.recipes.evidence.config import EvidenceConfig
from rarescene.recipes.evidence.shared_store import SharedStore
from rarescene.recipes.evidence.study import OWN, Choice, Part
from rarescene.recipes.run_store import Planned, address
from rarescene.recipes.scale import DataScale
from rarescene.recipes.study import Scores, read_scores
from rarescene.reports.formatting import percent
from rarescene.scenes import SceneSet, open_scenes

ALL, BY_FRAME = "all recordings", "split by frame"
FRAME_SPLIT = "casdm"
"""The rule of `--split` by which single frames are drawn."""


class Cell(NamedTuple):
    """One training of the table."""

    part: Part
    segmenter: str
    arm: str
    seed: int

    @property
    def name(self) -> str:
        """What it is called in messages."""
        where = "" if self.part.name == ALL else f", {self.part.name}"
        return f"{self.segmenter}, {self.arm}, seed {self.seed}{where}"


@dataclass(frozen=True)
class Failure:
    """A cell that could not be trained now.

    Attributes:
        cell: its name.
        why: what was wrong, and the remedy.
        trace: where, if the program itself is at fault.
    """

    cell: str
    why: str
    trace: str = ""


class Grid:
    """The cells of a study, in a folder.

    Args:
        config: the study.
        spec: the real data.
        split: how they are split.
        out: the folder; runs lie in OUT/runs, lists of fewer training recordings in OUT/splits.

    Attributes:
        store: of the runs.
        failures: of this process.
    """

    def __init__(self, config: EvidenceConfig, spec: str, split: str, out: Path) -> None:
        self.config, self.out = config, out.resolve()
        self.store = SharedStore(self.out / "runs")
        self.failures: list[Failure] = []
        data = config.data
        fractions = data.fractions if split == data.split else None
        source = DataScale(spec, split, fractions, group_by=data.group_by)
        self.whole = Part(ALL, config, source, spec, self.store, data.tested_on)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The whole data, then split by frame, then with fewer training recordings, as far as asked for.

        Raises:
            ConfigError: more training recordings are asked for than there are; a rare class is not known, or
                none is rare.
        """
        config, whole, found = self.config, self.whole, [self.whole]
        if config.split_by_frame:
            split = whole.data.split
            sizes = np.array([len(split.train), len(split.validation), len(split.test)], np.float64)
            train, validation, test = (sizes / sizes.sum()).tolist()
            source = replace(whole.source, split=FRAME_SPLIT, fractions=(train, validation, test))
            found.append(self._part(BY_FRAME, source, None))
        for number in sorted(config.recordings):
            source = replace(whole.source, split=str(self._fewer(number)), fractions=None)
            found.append(self._part(f"{number} recordings", source, config.data.tested_on))
        return tuple(found)

    @cached_property
    def tested_on(self) -> SceneSet | None:
        """The other data set that is the test; None where it is the test part.

        Raises:
            ConfigError: it has other classes.
        """
        if (spec := self.config.data.tested_on) is None:
            return None
        scenes, table = open_scenes(spec, group_by=self.config.data.group_by), self.whole.data.scenes.classes
        if scenes.classes.fingerprint != table.fingerprint:
            what = f"data.tested_on has the classes of {scenes.classes.name!r}, not of {table.name!r}"
            raise ConfigError(what, "Test on data with the class table of the training data.")
        return scenes

    def cells(self, part: Part) -> list[Cell]:
        """Return the cells of a part: all arms of the first seed, then all of the next one."""
        config = self.config
        return [
            Cell(part, segmenter, arm, seed)
            for seed in config.seeds
            for segmenter in config.segmenters
            for arm in config.arms
        ]

    def train(self, cells: Sequence[Cell], then: Callable[[], object]) -> None:
        """Make the cells that are not there. One that fails is named, and the next one follows.

        Args:
            cells: which.
            then: called after each cell.
        """
        for number, cell in enumerate(cells, start=1):
            place = f"[{number}/{len(cells)}] {cell.name}"
            if (run := self.there(cell)) is not None:
                run.made()
                continue
            say(place)
            try:
                made = cell.part.made(cell.segmenter, self.config.arms[cell.arm], cell.seed)
            except Exception as error:
                failure = _failure(cell, error)
                self.failures.append(failure)
                say(f"{place}: failed; the others go on. {failure.why}")
            else:
                say(f"{place}: {self._told(cell.part, made)}")
            then()

    def there(self, cell: Cell) -> Planned | None:
        """Return a cell's run if it is finished, else None."""
        try:
            planned = cell.part.planned(cell.segmenter, self.config.arms[cell.arm], cell.seed)
        except RareSceneError:  # told when it is to be made
            return None
        return planned if planned is not None and planned.there else None

    def runs(self, part: Part, segmenter: str) -> dict[str, dict[int, Planned]]:
        """Return the finished runs, by arm and seed."""
        found: dict[str, dict[int, Planned]] = {}
        for cell in self.cells(part):
            if cell.segmenter == segmenter and (run := self.there(cell)) is not None:
                found.setdefault(cell.arm, {})[cell.seed] = run
        return {arm: found[arm] for arm in self.config.arms if arm in found}

    def choices(self) -> dict[tuple[Part, str, str], Choice]:
        """Return the shares that validation chose so far, by part, segmenter and arm."""
        found = {}
        for part in self.parts:
            for segmenter in self.config.segmenters:
                for name, arm in self.config.arms.items():
                    try:
                        choice = part.choice(segmenter, arm)
                    except RareSceneError:
                        continue
                    if choice is not None:
                        found[part, segmenter, name] = choice
        return found

    def _part(self, name: str, source: DataScale, tested_on: str | None) -> Part:
        assert source.spec is not None
        return Part(name, self.config, source, source.spec, self.store, tested_on, self.whole.rare)

    def _fewer(self, number: int) -> Path:
        """Return a split file that keeps so many of the training recordings; fewer are among more."""
        recordings = self.whole.data.split.recordings
        known = recordings["train"]
        if number > len(known):
            what = f"recordings names {number}, and {len(known)} train"
            raise ConfigError(what, "Give smaller numbers, or a split with more training recordings.")
        seed = derive_seed(self.config.recordings_seed, "recordings")
        order = np.random.default_rng(seed).permutation(len(known))[:number]
        kept: Mapping[str, list[str]] = {
            **{part: list(names) for part, names in recordings.items()},
            "train": sorted(known[place] for place in order),
        }
        path = self.out / "splits" / f"{number}_recordings-{address(kept)}.json"
        if not path.is_file():
            write_json(path, kept)
        return path

    def _told(self, part: Part, run: Path) -> str:
        test, own = (part.rare_mean(read_scores(run / file)) for file in (part.tested, OWN))
        return (
            f"mean IoU of rare classes {percent(test)}, on its own training frames {percent(own)} (per cent)"
        )


def test_scores(part: Part, runs: Mapping[int, Planned]) -> dict[int, Scores]:
    """Return what runs scored on the test, by seed."""
    return {seed: read_scores(run.path / part.tested) for seed, run in runs.items()}


def own_scores(runs: Mapping[int, Planned]) -> dict[int, Scores]:
    """Return what runs scored on their own training frames, by seed."""
    return {seed: read_scores(run.path / OWN) for seed, run in runs.items()}


def _failure(cell: Cell, error: Exception) -> Failure:
    known = error if isinstance(error, RareSceneError) else machine_fault(error)
    if known is not None:
        return Failure(cell.name, " ".join(str(known).split()))
    why = f"{type(error).__name__}: {' '.join(str(error).split())} (a fault of the program; please report it)"
    return Failure(cell.name, why, "".join(traceback.format_exception(error)))
