"""nnU-Net v2 raw: labels, folds, and the library's own check and reader, run from a folder of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rarescene.foundation.errors import ConfigError
from rarescene.scenes import ClassTable, Export, ExportSource, SceneClass, write_nnunet
from rarescene.scenes.export.nnunet import nnunet_labels

from .exporting import data, drawn, mixed, scene_set, synthetic_set

NNUNET = Path(os.environ.get("RARESCENE_NNUNET", Path(sys.prefix) / "nnunet"))

CHECK = """
import sys
from pathlib import Path
import numpy as np
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    verify_dataset_integrity(str(folder), 1)
    reader, read = NaturalImage2DIO(), {}
    for path in sorted(folder.glob("labelsT?/*.png")):
        image = folder / path.parent.name.replace("labels", "images") / f"{path.stem}_0000.png"
        read[f"{path.stem}|image"] = reader.read_images([str(image)])[0]
        read[f"{path.stem}|labels"] = reader.read_seg(str(path))[0]
    np.savez(sys.argv[2], **read)
    assert "torchvision" not in sys.modules and "timm" not in sys.modules
"""


def table(*names: str, ignore_index: int = 255) -> ClassTable:
    classes = tuple(SceneClass(index, name, (0, 0, 0)) for index, name in enumerate(names))
    return ClassTable("t", classes, ignore_index)


def checked(folder: Path, read: Path) -> subprocess.CompletedProcess[str]:
    """Run nnU-Net's integrity check in a process of its own, and read every case with its reader."""
    if not (NNUNET / "nnunetv2").is_dir():
        pytest.skip("nnU-Net is not here; `make test` puts it beside the virtual environment")
    script = read.with_suffix(".py")
    script.write_text(CHECK)
    environment = {**os.environ, "PYTHONPATH": str(NNUNET), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, str(script), str(folder), str(read)],
        env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


def test_nnunet_itself_finds_no_fault_and_reads_back_what_was_written(tmp_path: Path) -> None:
    export = mixed()
    out = write_nnunet(export, tmp_path / "Dataset501_Test")
    done = checked(out, tmp_path / "read.npz")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "verify_dataset_integrity Done" in done.stdout
    read = np.load(tmp_path / "read.npz")
    assert len(read) == 2 * len(export)
    for case in export.cases:
        scene = export.read(case)
        image, labels = read[f"{case.name}|image"], read[f"{case.name}|labels"]
        np.testing.assert_array_equal(image[:, 0], scene.image.transpose(2, 0, 1))
        np.testing.assert_array_equal(labels[0, 0], np.where(scene.mask == 255, 4, scene.mask))


def test_nnunet_finds_the_faults_that_it_looks_for(tmp_path: Path) -> None:
    out = write_nnunet(mixed(), tmp_path / "Dataset501_Test")
    Image.fromarray(np.full((8, 9), 255, np.uint8)).save(out / "labelsTr" / "syn_pairs_000000.png")
    done = checked(out, tmp_path / "read.npz")
    assert done.returncode != 0
    assert "unexpected labels" in done.stderr


def test_what_lies_where(tmp_path: Path) -> None:
    out = write_nnunet(mixed(), tmp_path / "Dataset501_Test")
    training = ["syn_pairs_000000", "syn_pairs_000001"]
    training += [f"video0{video}_frame_{video}" for video in (1, 2, 3, 4)]
    files = {path.relative_to(out).as_posix() for path in out.rglob("*.png")}
    assert files == {
        *(f"imagesTr/{name}_0000.png" for name in training), *(f"labelsTr/{name}.png" for name in training),
        "imagesTs/video05_frame_5_0000.png", "labelsTs/video05_frame_5.png",
    }  # fmt: skip
    told = json.loads((out / "dataset.json").read_text())
    assert told["numTraining"] == 6
    assert told["channel_names"] == {"0": "R", "1": "G", "2": "B"}
    assert told["labels"] == {"background": 0, "liver": 1, "grasper": 2, "vein": 3, "ignore": 4}
    assert "2 of 7 cases are synthetic" in told["description"]
    assert told["description"].startswith("Phantom scenes")


def test_synthetic_cases_train_and_never_validate(tmp_path: Path) -> None:
    out = write_nnunet(mixed(), tmp_path / "Dataset501_Test")
    (fold,) = json.loads((out / "splits_final.json").read_text())
    assert fold["val"] == ["video04_frame_4"]
    assert [name for name in fold["train"] if name.startswith("syn_")] == [
        "syn_pairs_000000",
        "syn_pairs_000001",
    ]
    assert len(fold["train"]) == 5
    assert "nnUNetv2_train 501 2d 0" in (out / "README.md").read_text()


def test_without_validation_recordings_there_is_no_fold(tmp_path: Path) -> None:
    sources = [data(["a/1", "b/1"], (1, 0, 1)), ExportSource.of_pairs(synthetic_set())]
    out = write_nnunet(Export.of("t", sources), tmp_path / "Dataset007_T")
    assert not (out / "splits_final.json").exists()
    assert "nnUNetv2_train 007 2d all" in (out / "README.md").read_text()


def test_ignore_is_declared_only_where_it_occurs(tmp_path: Path) -> None:
    image, mask = drawn(0)
    scenes = scene_set({"a/1": (image, mask % 4)})
    out = write_nnunet(Export.of("t", [ExportSource(scenes, {"train": [0]})]), tmp_path / "Dataset501_T")
    assert "ignore" not in json.loads((out / "dataset.json").read_text())["labels"]


@pytest.mark.parametrize(
    ("classes", "labels", "values"),
    [
        (table("Black Background", "liver"), {"background": 0, "liver": 1}, [0, 1, 2]),
        (table("liver", "background", "vein"), {"background": 0, "liver": 1, "vein": 2}, [1, 0, 2, 3]),
        (table("pupil", "iris"), {"background": 0, "pupil": 1, "iris": 2}, [1, 2, 3]),
        (
            table("background tissue", "Background"),
            {"background": 0, "background tissue": 1},
            [1, 0, 2],
        ),
        (
            table("ignore", "backgrounds"),
            {"background": 0, "ignore (a class)": 1, "backgrounds": 2},
            [1, 2, 3],
        ),
    ],
)
def test_label_0_is_the_background_and_the_highest_is_ignored(
    classes: ClassTable, labels: dict[str, int], values: list[int]
) -> None:
    found, lookup = nnunet_labels(classes)
    assert found == labels
    assert [*lookup[: len(classes)].tolist(), int(lookup[255])] == values


def test_labels_fit_into_a_byte() -> None:
    names = [f"class {index}" for index in range(254)]
    assert nnunet_labels(table(*names))[1][255] == 255
    with pytest.raises(ConfigError, match="255 classes are too many"):
        nnunet_labels(table(*names, "one more"))
    assert nnunet_labels(table("background", *names))[1].tolist() == [*range(255), 255]


@pytest.mark.parametrize("name", ["Phantom", "Dataset1_Phantom", "Dataset501", "Dataset501_a b"])
def test_a_name_that_nnunet_would_not_find_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder name of nnU-Net") as told:
        write_nnunet(mixed(), tmp_path / name)
    assert "Dataset501_Surgery" in told.value.remedy
    assert not list(tmp_path.iterdir())
