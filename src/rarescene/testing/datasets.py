"""What every data set must keep, whatever its layout on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.foundation.methods import DatasetMethod
from rarescene.scenes import IMAGE_SUFFIXES, SceneSet, open_scenes, scan_scenes, split_scenes
from rarescene.scenes.datasets.open import list_scenes


@dataclass(frozen=True)
class Subject:
    """A data set under test.

    Attributes:
        method: its declaration.
        write: writes a small sound sample into a folder: at least two recordings, each of two scenes.
        path: what stands behind the colon, for a data set without a folder.
    """

    method: DatasetMethod
    write: Callable[[Path], Any] | None = None
    path: str = ""

    @contextmanager
    def sample(self) -> Iterator[tuple[str, Path]]:
        """Give the sample as the command line names it, and its folder."""
        with TemporaryDirectory() as name:
            folder = Path(name) / "the data, 50 %"
            folder.mkdir()
            if self.write is not None:
                self.write(folder)
            yield f"{self.method.command}:{self.path or folder}", folder


def a_sound_sample_lists_without_faults(of: Subject) -> None:
    """Names are unique, frames have places of their own in recordings, and there are two of them at least."""
    with of.sample() as (spec, _):
        listing = list_scenes(spec)
        assert listing.faults == ()
        scenes = listing.opened()
        assert scan_scenes(spec).faults == ()
    names = [record.name for record in scenes.records]
    places = [(record.group, record.order) for record in scenes.records]
    assert len(set(names)) == len(set(places)) == len(scenes) > 1
    assert 1 < len(scenes.groups) < len(scenes), "a frame is no recording"
    assert scenes.name
    assert scenes.licence


def listing_decodes_nothing(of: Subject) -> None:
    """Where images and masks lie shows without opening them: a set of many thousand files opens at once."""
    with of.sample() as (spec, folder):
        records = open_scenes(spec).records
        for path in folder.rglob("*"):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                path.write_bytes(b"")
        assert open_scenes(spec).records == records


def scenes_are_what_they_should_be(of: Subject) -> None:
    """An image is uint8 `(H, W, 3)`, its mask uint8 `(H, W)` of ids of the class table or the ignore index.

    A scene reads the same twice, and its mask the same without its image.
    """
    with of.sample() as (spec, _):
        scenes = open_scenes(spec)
        known = {*range(len(scenes.classes)), scenes.classes.ignore_index}
        for index, scene in enumerate(scenes):
            assert (scene.mask.dtype, scene.mask.ndim) == (np.uint8, 2)
            assert set(np.unique(scene.mask).tolist()) <= known
            assert scene.record == scenes.records[index]
            again = scenes[index]
            assert np.array_equal(again.mask, scene.mask)
            if scene.record.has_image:
                assert (scene.image.dtype, scene.image.shape) == (np.uint8, (*scene.mask.shape, 3))
                assert np.array_equal(again.image, scene.image)
            if scene.record.mask is not None:
                assert np.array_equal(scenes.mask(index), scene.mask)
        assert len({scene.mask.tobytes() for scene in scenes}) > 1


def an_empty_folder_and_a_missing_one_say_what_to_do(of: Subject) -> None:
    """Nothing there is a fault with a remedy, not an empty set."""
    if of.method.folder:
        with TemporaryDirectory() as name:
            for folder in (Path(name), Path(name) / "missing"):
                spec = f"{of.method.command}:{folder}"
                found = scan_scenes(spec)
                assert found.scenes is None
                assert found.faults
                assert all(fault.what and fault.remedy for fault in found.faults)
                said = _said(lambda spec=spec: open_scenes(spec))  # type: ignore[misc]
                assert str(folder) in said


def a_damaged_file_is_named(of: Subject) -> None:
    """A picture of no bytes, or half of one, is a fault that names the file; the other scenes are sound."""
    with of.sample() as (spec, _):
        whole = open_scenes(spec)
        files = [file for record in whole.records[:2] for file in (record.image, record.mask) if file]
        for path in dict.fromkeys(files):
            content = path.read_bytes()
            for damaged in (b"", content[: len(content) // 2]):
                path.write_bytes(damaged)
                found = scan_scenes(spec)
                assert [fault.file for fault in found.faults] == [path] * len(found.faults)
                assert found.faults
                assert found.faults[0].remedy
                assert found.scenes is not None
                assert len(found.scenes) < len(whole)
                assert path.name in _said(lambda: [scene.image for scene in open_scenes(spec)])
            path.write_bytes(content)


def its_splits_leave_no_recording_on_both_sides(of: Subject) -> None:
    """An official split covers scenes once each, or says what it lacks; what it cuts through, it warns of."""
    with of.sample() as (spec, _):
        scenes = open_scenes(spec)
        for name in ("recording", *of.method.splits):
            _parted(scenes, name)


def _parted(scenes: SceneSet, name: str) -> None:
    try:
        split = split_scenes(scenes, name)
    except (ConfigError, DataError):
        return  # the sample lacks recordings that it names
    parts = split.train, split.validation, split.test
    chosen = [index for part in parts for index in part]
    assert len(set(chosen)) == len(chosen)
    shared = [set(scenes.subset(part).groups) for part in parts]
    assert split.warning or not (shared[0] & shared[1] or shared[0] & shared[2] or shared[1] & shared[2])


def _said(opened: Callable[[], Any]) -> str:
    try:
        opened()
    except DataError as error:
        return str(error)
    return "nothing"
