"""A data set from somebody else's package: one file, and one entry point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.foundation.plugins import methods
from rarescene.scenes import open_scenes, scan_scenes, split_scenes, write_image

PLUGIN = """
from rarescene.foundation.methods import DatasetMethod
from rarescene.scenes import ClassTable, Fault, MaskCode, SceneClass, SceneRecord
from rarescene.scenes import list_pairs, named_recordings

TABLE = ClassTable("ward", (SceneClass(0, "tissue", (200, 90, 90)), SceneClass(1, "clip", (0, 255, 0))))


def list_ward(root, camera="front"):
    records, faults = [], []
    for mask in sorted(root.glob(f"*/{camera}/*.mask.png")):
        image, frame = mask.with_name(mask.name.replace(".mask", "")), int(mask.name.split(".")[0])
        group = mask.parts[-3]
        if image.is_file():
            records.append(SceneRecord(f"{group}/{frame}", group, frame, image, mask))
        else:
            faults.append(Fault(mask, "is a mask without its image", f"Restore {image.name}."))
    return list_pairs(MaskCode.plain(TABLE), records, "of the ward", faults)


WARD = DatasetMethod(
    name="the_ward",
    summary="what the ward filmed",
    list=list_ward,
    options=("camera",),
    splits={
        "ward": named_recordings("ward", validation=["op2"], test=["op3"]),
        "cadis": named_recordings("nobody's", validation=["op2"], test=["op1"]),
    },
)
"""


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install a package with a data set, and write frames of it."""
    site, root = tmp_path / "site", tmp_path / "ward"
    (site / "ward_data-1.2.dist-info").mkdir(parents=True)
    (site / "ward_data.py").write_text(PLUGIN)
    about = site / "ward_data-1.2.dist-info"
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ward-data\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text("[rarescene.datasets]\nthe-ward = ward_data:WARD\n")
    for operation in (1, 2, 3):
        for frame in (0, 1):
            for camera in ("front", "side"):
                file = root / f"op{operation}" / camera / f"{frame}.png"
                write_image(file, np.full((12, 16, 3), 10 * operation, np.uint8))
                mask = np.zeros((12, 16), np.uint8)
                mask[:3, :operation] = camera == "side"
                write_image(file.with_suffix(".mask.png"), mask)
    monkeypatch.syspath_prepend(site)
    methods.cache_clear()
    yield root
    methods.cache_clear()


def test_it_is_opened_like_ours(ward: Path, tmp_path: Path) -> None:
    assert methods("datasets")["the_ward"].package == "ward-data"
    assert len(PLUGIN.strip().splitlines()) <= 40
    scenes = open_scenes(f"the-ward:{ward}")
    assert (scenes.name, scenes.licence, scenes.groups) == ("ward", "of the ward", ("op1", "op2", "op3"))
    assert scenes[4].image[0, 0].tolist() == [30, 30, 30]
    assert [int(scene.mask.sum()) for scene in open_scenes(f"the-ward:{ward},camera=side")] == [
        3, 3, 6, 6, 9, 9,
    ]  # fmt: skip
    (tmp_path / "ward.yaml").write_text("name: the-ward\npath: ward\ncamera: side\ngroup_by: '/(.)'\n")
    assert open_scenes(tmp_path / "ward.yaml").groups == ("0", "1")


def test_its_split_is_a_word_and_takes_none_of_ours(ward: Path) -> None:
    scenes = open_scenes(f"the-ward:{ward}")
    split = split_scenes(scenes, "ward")
    assert split.recordings == {"train": ("op1",), "validation": ("op2",), "test": ("op3",)}
    assert split.warning is None
    with pytest.raises(ConfigError, match="the CaDIS split needs"):
        split_scenes(scenes, "cadis")
    with pytest.raises(ConfigError, match="fold3, ward"):
        split_scenes(scenes, "weird")


def test_what_is_wrong_with_it_is_said_as_of_ours(ward: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sisvse, the-ward, or give a YAML file"):
        open_scenes("the_ward:x")
    with pytest.raises(ConfigError, match="has no path"):
        open_scenes("the-ward:")
    with pytest.raises(DataError, match="is not a folder"):
        open_scenes(f"the-ward:{tmp_path / 'away'}")
    with pytest.raises(DataError, match="holds no scenes of the-ward"):
        open_scenes(f"the-ward:{ward},camera=back")
    (tmp_path / "ward.yaml").write_text("name: the-ward\npath: ward\nlens: 3\n")
    with pytest.raises(ConfigError, match=r"unknown option 'lens'[\s\S]*name, path, group_by, pad, camera"):
        open_scenes(tmp_path / "ward.yaml")
    (ward / "op1" / "front" / "0.png").write_bytes(b"")
    (ward / "op2" / "front" / "1.png").unlink()
    told = [fault.what for fault in scan_scenes(f"the-ward:{ward}").faults]
    assert told == ["is empty", "is a mask without its image"]


def test_phantom_scenes_in_its_layout_are_still_called_phantom(ward: Path) -> None:
    (ward / "phantom.json").write_text("{}")
    assert open_scenes(f"the-ward:{ward}").name == "phantom"
