"""Frames of another aspect than the network's: how much they are squashed is said; `pad=` keeps them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from rarescene.cli import main
from rarescene.foundation import console
from rarescene.foundation.run_record import read_record
from rarescene.scenes import ClassTable, open_scenes

from ..conftest import BRIEF

TABLE = {
    "name": "wide",
    "classes": [
        {"id": 0, "name": "background", "colour": [127, 127, 127]},
        {"id": 1, "name": "liver", "colour": [255, 114, 114]},
    ],
}
SQUARE = np.zeros((36, 96), np.uint8)
SQUARE[20:36, 60:76] = 1  # at the lower edge, where the padding begins


@pytest.fixture
def wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six recordings of frames of 96x36 in which the liver is white and all else black."""
    for kind, pixels in (("images", np.stack([SQUARE * 255] * 3, -1)), ("masks", SQUARE)):
        (tmp_path / "wide" / kind).mkdir(parents=True)
        for case in range(6):
            Image.fromarray(pixels).save(tmp_path / "wide" / kind / f"case{case}_1.png")
            Image.fromarray(pixels).save(tmp_path / "wide" / kind / f"case{case}_2.png")
    (tmp_path / "wide/classes.json").write_text(json.dumps(TABLE))
    monkeypatch.chdir(tmp_path)
    console.say_once.cache_clear()
    return tmp_path


class SeesWhite(torch.nn.Module):
    """Tells liver by its brightness, and calls what is black background."""

    def predict(self, images: Tensor) -> Tensor:
        liver = (images.mean(dim=1) + 1) / 2
        return torch.stack([1 - liver, liver], dim=1)


def segment(data: str, out: str) -> int:
    return main(["segment", "unet", "--data", data, "--height=48", "--width=48", "--out", out, *BRIEF])


def test_frames_that_are_squashed_are_said_once_with_what_pads_them(
    wide: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert segment("folder:wide", "squashed") == 0
    said = " ".join(capfd.readouterr().out.split())
    told = (
        "note: frames of 96×36 become 48×48, which squashes their width to 38%; --data NAME:PATH,pad=1x1 pads"
    )
    assert said.count(told) == 1
    assert said.count("squashes") == 1
    assert "pad" not in read_record(Path("squashed")).config
    console.say_once.cache_clear()
    assert segment("folder:wide,pad=1x1", "padded") == 0
    assert "squash" not in capfd.readouterr().out
    assert read_record(Path("padded")).config["pad"] == [1, 1]


def test_padded_frames_are_predicted_and_scored_in_their_own_geometry(
    wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rarescene.segmenters

    assert segment("folder:wide,pad=1x1", "padded") == 0
    seen: list[tuple[int, ...]] = []

    class Looking(SeesWhite):
        def predict(self, images: Tensor) -> Tensor:
            seen.append(tuple(images.shape[-2:]))
            rows = images[0, 0].amax(dim=1) > 0
            assert not rows[18:].any()  # half of 48 rows are frame, 36 of 96, and the rest is padding
            return super().predict(images)

    table = ClassTable.from_dict(TABLE)
    monkeypatch.setattr(rarescene.segmenters, "load_segmenter", lambda *_: (Looking(), table))
    assert main(["predict", "padded", "wide/images", "--out", "found"]) == 0
    for path in sorted(Path("wide/images").iterdir()):
        found = np.asarray(Image.open(Path("found/masks", path.name)))
        assert found.shape == SQUARE.shape
        assert (found != SQUARE).mean() < 0.02
        assert np.asarray(Image.open(Path("found/overlays", path.name))).shape == (*SQUARE.shape, 3)
    for data in ("folder:wide,pad=1x1", "folder:wide"):  # as the run's frames were, whatever is said
        assert main(["evaluate", "padded", "--data", data]) == 0
        scores = json.loads(Path("padded/metrics.json").read_text())
        confusion = np.sum([one["confusion"] for one in scores["recordings"].values()], axis=0)
        frames = 2 * len(read_record(Path("padded")).provenance.recordings["test"])
        assert confusion.sum() == frames * SQUARE.size  # no pixel of the padding
        assert confusion[1].sum() == frames * SQUARE.sum()
        assert confusion[1, 1] > 0.9 * confusion[1].sum()
    assert set(seen) == {(48, 48)}


def test_padding_is_never_labelled(wide: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert segment("folder:wide", "squashed") == 0
    assert segment("folder:wide,pad=1x1", "padded") == 0
    for run, frames in (("padded", "wide/images"), ("squashed", "folder:wide,pad=1x1")):
        assert main(["pseudolabel", run, frames, "--out", "labelled"]) == 2
        assert "padding" in capfd.readouterr().err
        assert not Path("labelled/manifest.jsonl").exists()
    assert (open_scenes("folder:wide,pad=1x1").mask(0)[36:] == 255).all()
