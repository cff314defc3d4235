"""What is exported: parts, names, marks, cards; a folder that appears whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.scenes import (
    CHOLECSEG8K,
    Export,
    ExportSource,
    Split,
    resize_mask,
    write_coco,
    write_huggingface,
    write_nnunet,
)
from rarescene.scenes.export.writing import need_empty_folder, whole_folder

from .exporting import data, drawn, mixed, scene_set, synthetic_set

LONG = "a" * 300 + "/"


@given(
    st.lists(st.text("ab/ A_ü.-\\:", min_size=1, max_size=8), min_size=1, max_size=12, unique=True),
    st.integers(0, 3),
)
def test_names_are_safe_and_unique_also_without_case(names: list[str], synthetic: int) -> None:
    sources = [data(names, (len(names), 0, 0))]
    sources += [ExportSource.of_pairs(synthetic_set(synthetic))] if synthetic else []
    found = [case.name for case in Export.of("t", sources).cases]
    assert len({name.casefold() for name in found}) == len(names) + synthetic
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) for name in found)


def test_names_tell_synthetic_from_real_and_long_paths_apart() -> None:
    names = ["video01/frame 1", "video01_frame_1", "syn_pairs_000000", LONG + "1", LONG + "2", "…"]
    sources = [data(names, (6, 0, 0)), *(ExportSource.of_pairs(synthetic_set()) for _ in range(2))]
    found = [case.name for case in Export.of("t", sources).cases]
    assert found[:3] == ["video01_frame_1", "video01_frame_1_2", "real_syn_pairs_000000"]
    assert [len(name) for name in found[3:5]] == [120, 120]
    assert found[5:] == [
        "scene", "syn_pairs_000000", "syn_pairs_000001", "syn_pairs_000000_2", "syn_pairs_000001_2",
    ]  # fmt: skip


def test_each_scene_keeps_its_size_or_all_take_one() -> None:
    export = mixed()
    assert {export.read(case).mask.shape for case in export.cases} == {(12, 17), (8, 9)}
    resized = Export.of("t", export.sources, size=(6, 8))
    for case in resized.cases:
        scene = resized.read(case)
        assert scene.image.shape == (6, 8, 3)
        whole = case.source.scenes[case.index].mask
        np.testing.assert_array_equal(scene.mask, resize_mask(whole, 6, 8))


def test_licences_are_named_once_each() -> None:
    frames = scene_set({"a/1": drawn(1)}, licence="CC BY 4.0")
    drawn_from = scene_set({"b/1": drawn(2)}, licence="CC BY 4.0 + CC BY-NC-SA 4.0", name="pairs")
    sources = [ExportSource.of_data(frames, Split((0,), (), (), "x")), ExportSource.of_pairs(drawn_from)]
    assert Export.of("t", sources).licence == "CC BY 4.0 + CC BY-NC-SA 4.0"


def test_what_does_not_fit_is_refused() -> None:
    one = scene_set({"a/1": drawn(1)})
    other = scene_set({"a/1": drawn(1)}, table=CHOLECSEG8K, name="other")
    pairs = synthetic_set()
    whole = Split((0,), (), (), "x")
    with pytest.raises(ConfigError, match="nothing to export"):
        Export.of("t", [])
    with pytest.raises(ConfigError, match="'other' has the classes of"):
        Export.of("t", [ExportSource.of_data(one, whole), ExportSource.of_pairs(other)])
    with pytest.raises(ConfigError, match="would validate or test"):
        Export.of("t", [ExportSource(pairs, {"train": [0], "test": [1]}, synthetic=True)])
    with pytest.raises(ConfigError, match="holds synthetic scenes") as told:
        Export.of("t", [ExportSource.of_data(pairs, Split((0,), (), (1,), "x"))])
    assert "--synthetic" in told.value.remedy
    with pytest.raises(ConfigError, match="no scene is left for training"):
        Export.of("t", [ExportSource(one, {"test": [0]})])


WRITERS = [write_nnunet, write_coco, write_huggingface]
Writer = Callable[..., Path]


@pytest.fixture(params=WRITERS, ids=lambda writer: writer.__name__)
def write(request: pytest.FixtureRequest) -> Writer:
    if request.param is write_huggingface:
        pytest.importorskip("datasets", reason="the extra `export` is not installed")
    writer: Writer = request.param
    return writer


@pytest.mark.parametrize(("names", "parts"), [(["a/1"], (1, 0, 0)), (["a/1", "b/1", "c/1"], (1, 0, 2))])
def test_one_scene_and_three_with_empty_parts(
    write: Writer, names: list[str], parts: tuple[int, int, int], tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    out = write(
        Export.of("t", [data(names, parts)]), tmp_path / "Dataset501_T", progress=lambda *at: seen.append(at)
    )
    assert seen == [(done, len(names)) for done in range(1, len(names) + 1)]
    told = json.loads((out / "rarescene.json").read_text())
    assert [case["part"] for case in told["cases"].values()] == (["train"] + ["test"] * 2)[: len(names)]
    assert [path.name for path in tmp_path.iterdir()] == ["Dataset501_T"]


def test_every_format_tells_what_is_synthetic_and_whose_it_is(write: Writer, tmp_path: Path) -> None:
    out = write(mixed(), tmp_path / "Dataset501_T")
    told = json.loads((out / "rarescene.json").read_text())
    synthetic = {name: case for name, case in told["cases"].items() if case["synthetic"]}
    assert set(synthetic) == {name for name in told["cases"] if name.startswith("syn_")}
    assert [case["part"] for case in synthetic.values()] == ["train", "train"]
    assert synthetic["syn_pairs_000001"] | {"details": {}} == {
        "part": "train", "synthetic": True, "phantom": True, "source": "pairs",
        "scene": "video01/images/000001", "recording": "video01", "order": 1, "generator": "casdm", "seed": 7,
        "request": "grasper: one, centre", "details": {},
    }  # fmt: skip
    assert told["phantom"] is True
    assert told["sources"][1]["seen"] == ["video01", "video02"]
    card = (out / "README.md").read_text()
    assert "CC BY-NC-SA 4.0" in card
    assert "2 are **synthetic**" in card
    assert "Phantom scenes: procedural pictures" in card
    assert "may be tested: video01, video02" in card
    assert "| train | 3 | 2 | video01, video02, video03 |" in card
    real = write(Export.of("t", [data(["a/1"], (1, 0, 0))], notes=["It leaks."]), tmp_path / "Dataset502_T")
    card = (real / "README.md").read_text()
    assert "None is synthetic" in card
    assert "Phantom" not in card
    assert "It leaks." in card


def test_a_folder_that_holds_something_is_left_alone(write: Writer, tmp_path: Path) -> None:
    out = tmp_path / "Dataset501_T"
    out.mkdir()
    (out / "mine").write_text("kept")
    with pytest.raises(ConfigError, match="is not empty"):
        write(mixed(), out)
    assert [path.name for path in out.iterdir()] == ["mine"]
    (out / "mine").unlink()
    write(mixed(), out)  # an empty one is fine
    with pytest.raises(ConfigError, match="is not empty"):
        write(mixed(), out)
    (tmp_path / "Dataset502_T").write_text("a file")
    with pytest.raises(ConfigError, match="is a file"):
        write(mixed(), tmp_path / "Dataset502_T")
    (tmp_path / "Dataset503_T").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is a link to nothing"):
        write(mixed(), tmp_path / "Dataset503_T")
    theirs = tmp_path / ".Dataset504_T.partial" / "Dataset504_T" / "a"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("kept")
    write(mixed(), tmp_path / "Dataset504_T")
    assert theirs.read_text() == "kept"
    assert not (tmp_path / "nowhere").exists()


def test_a_failure_leaves_nothing_behind(
    write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = Image.Image.save
    room = [3]

    def full(self: Image.Image, *arguments: object) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        saved(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", full)
        with pytest.raises(DataError, match="No space left on device"):
            write(mixed(), tmp_path / "Dataset501_T")
    assert not list(tmp_path.iterdir())
    left = tmp_path / ".Dataset501_T.partial" / ".rarescene" / "partial"  # as a killed export leaves it
    left.mkdir(parents=True)
    (left / "half").write_text("half")
    out = write(mixed(), tmp_path / "Dataset501_T")
    assert not (out / "half").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["Dataset501_T"]


def test_a_second_export_to_one_folder_is_told_of_the_first(tmp_path: Path) -> None:
    out = tmp_path / "Dataset501_T"
    with whole_folder(out) as first:
        (first / "a").write_text("a")
        with pytest.raises(ConfigError, match=rf"process {os.getpid()} on"):
            write_coco(mixed(), out)
    assert [path.name for path in out.iterdir()] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["Dataset501_T"]


@pytest.mark.parametrize(
    "left", [(), (".rarescene",), (".rarescene", "lock"), (".rarescene", "lock", "writer.json")]
)
def test_what_an_export_left_that_was_killed_after_its_last_step_goes_when_it_is_repeated(
    left: tuple[str, ...], tmp_path: Path
) -> None:
    """The export is whole by then, and the lock is given back: writer, lock, both folders."""
    out = write_coco(mixed(), tmp_path / "T")
    whole = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    private = tmp_path.joinpath(".T.partial", *left[:1])
    private.mkdir(parents=True)
    for name in left[1:]:
        (private / name).touch()
    (tmp_path / "link").symlink_to(out)
    for name in ("T", "link"):
        with pytest.raises(ConfigError, match="is not empty"):
            need_empty_folder(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["T", "link"]
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == whole


def test_an_export_that_is_still_written_keeps_its_lock(tmp_path: Path) -> None:
    out = tmp_path / "T"

    def disturbed() -> None:
        with whole_folder(out):
            out.mkdir()
            (out / "theirs").write_text("theirs")
            with pytest.raises(ConfigError, match=rf"process {os.getpid()} on"):
                need_empty_folder(out)

    with pytest.raises(ConfigError, match="is not empty"):
        disturbed()
    assert [path.name for path in tmp_path.rglob("*")] == ["T", "theirs"]


def test_masks_without_images_are_refused() -> None:
    scenes = scene_set({"a/1": drawn(1)})
    alone = replace(scenes, records=tuple(replace(one, mask=Path("a.png")) for one in scenes.records))
    with pytest.raises(DataError, match="no images"):
        Export.of("t", [ExportSource.of_data(alone, Split((0,), (), (), "x"))])
