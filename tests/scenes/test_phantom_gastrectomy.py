"""The phantom gastrectomy: 32 classes, CASDM's six figures, instruments in parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rarescene.cli import main
from rarescene.foundation.errors import ConfigError
from rarescene.scenes import PhantomConfig, open_scenes, phantom_scenes, write_phantom
from rarescene.scenes.datasets.class_tables import SISVSE
from rarescene.scenes.datasets.phantom.instruments import HEADS
from rarescene.scenes.datasets.phantom.schedule import plan

# CASDM, section "Generalisability Across Datasets": share of the frames, mean share of the area there.
PAPER = {
    "suction irrigation": (0.0836, 0.0385),
    "endotip": (0.0876, 0.0457),
    "spleen": (0.0929, 0.0247),
}


def config(videos: int = 12, frames: int = 40, size: int = 64, seed: int = 0) -> PhantomConfig:
    return PhantomConfig(videos, frames, size, size, seed, "sisvse")


@pytest.mark.parametrize("seed", range(3))
def test_six_figures_hold_in_the_plan(seed: int) -> None:
    planned = plan(config(videos=500, frames=80, seed=seed))
    for name, (share, area) in PAPER.items():
        c = SISVSE.id_of(name)
        shown = planned.presence[:, c]
        assert shown.mean() == pytest.approx(share, rel=0.05)
        assert planned.area[shown, c].mean() == pytest.approx(area, rel=0.05)
        assert shown.reshape(500, 80).any(axis=1).mean() >= 1 / 3
    np.testing.assert_allclose(planned.area.sum(axis=1), 1, atol=1e-5)
    assert planned.area.min() >= 0


def test_drawn_masks_keep_the_plan_and_show_all_classes() -> None:
    chosen = config()
    planned = plan(chosen)
    drawn = np.stack(
        [np.bincount(scene.mask.ravel(), minlength=32) / 64**2 for scene in phantom_scenes(chosen)]
    )
    assert drawn.shape[1] == 32
    shown_in = (drawn > 0).reshape(12, 40, 32).any(axis=1).sum(axis=0)
    assert shown_in.min() >= 4, "every class in at least a third of the videos"
    assert (drawn[~planned.presence] == 0).all()
    for name, (share, area) in PAPER.items():
        c = SISVSE.id_of(name)
        assert (drawn[:, c] > 0).mean() == pytest.approx(share, abs=1.5 / 480 + 0.003)
        assert drawn[drawn[:, c] > 0, c].mean() == pytest.approx(area, rel=0.05)
    for name in ("needle", "gauze", "drain tube", "specimen bag", "liver", "stomach", "pancreas"):
        c = SISVSE.id_of(name)
        shown = planned.presence[:, c]
        assert (drawn[shown, c] > 0).mean() > 0.97, name
        assert drawn[shown, c].mean() == pytest.approx(planned.area[shown, c].mean(), rel=0.15), name
    for name in HEADS:
        head = drawn[:, SISVSE.id_of(f"{name} head")] > 0
        assert head.sum() >= 0.9 * planned.presence[:, SISVSE.id_of(f"{name} head")].sum(), name


def test_parts_of_an_instrument_hang_together() -> None:
    seen = 0
    for scene in phantom_scenes(config(videos=3, frames=20, size=128)):
        for name in ("MarylandBipolar", "Cadiere"):
            head, wrist, body = (
                scene.mask == SISVSE.id_of(f"{name} {part}") for part in ("head", "wrist", "body")
            )
            if min(head.sum(), wrist.sum(), body.sum()) < 40:
                continue
            seen += 1
            centres = [np.argwhere(part).mean(axis=0) for part in (head, wrist, body)]
            near = np.linalg.norm(centres[0] - centres[1]) + np.linalg.norm(centres[1] - centres[2])
            assert near < 1.4 * np.linalg.norm(centres[0] - centres[2]) + 8, (
                "the wrist is between head and body"
            )
    assert seen > 10


def test_scenes_repeat_and_differ_by_seed_and_move_smoothly() -> None:
    chosen = config(videos=2, frames=6, size=48)
    one, again = phantom_scenes(chosen), phantom_scenes(chosen)
    for index in reversed(range(12)):
        np.testing.assert_array_equal(one[index].image, again[index].image)
        np.testing.assert_array_equal(one[index].mask, again[index].mask)
    other = phantom_scenes(config(videos=2, frames=6, size=48, seed=1))
    assert (other[0].mask != one[0].mask).mean() > 0.05
    images = np.stack([scene.image for scene in one]).astype(float).reshape(2, 6, -1)
    assert np.abs(np.diff(images, axis=1)).mean() < 0.4 * np.abs(images[1] - images[0]).mean()


def test_sizes_agree() -> None:
    small, large = (phantom_scenes(config(videos=4, frames=3, size=size)) for size in (64, 128))
    same = [(high.mask[::2, ::2] == low.mask).mean() for low, high in zip(small, large, strict=True)]
    assert np.mean(same) > 0.93


def test_opened_by_name_and_written(tmp_path: Path) -> None:
    scenes = open_scenes("phantom:videos=2,frames=3,size=32,classes=sisvse")
    assert scenes.classes is SISVSE
    assert scenes.name.endswith(",seed=0,classes=sisvse")
    assert scenes.groups == ("R001", "R002")
    words = ["phantom", str(tmp_path / "a"), "--videos", "1", "--frames", "2", "--size", "24"]
    assert main([*words, "--layout", "sisvse"]) == 0
    assert len(list((tmp_path / "a/semantic_masks").rglob("*.png"))) == 6
    words[1] = str(tmp_path / "b")
    assert main([*words, "--classes", "sisvse"]) == 0
    assert open_scenes(f"folder:{tmp_path / 'b'}").classes == SISVSE
    assert main([*words[:1], str(tmp_path / "c"), "--layout", "cholecseg8k", "--classes", "sisvse"]) == 2


def test_layouts_and_classes_must_fit(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        write_phantom(config(videos=1, frames=1), tmp_path / "x", "cholecseg8k")
    with pytest.raises(ConfigError, match="do not fit"):
        write_phantom(PhantomConfig(1, 1, 16, 16), tmp_path / "y", "sisvse")
    with pytest.raises(ConfigError, match="classes"):
        open_scenes("phantom:videos=1,classes=cadis")
    with pytest.raises(ConfigError, match="no number"):
        open_scenes("phantom:videos=many")


@pytest.mark.parametrize(
    ("index", "pixels", "colour"),
    [
        (2, [447, 273, 626, 8, 417, 72, 391, 0, 0, 0, 66, 4, 0], [120.36, 82.12, 65.02]),
        (9, [712, 249, 493, 0, 598, 73, 0, 0, 0, 98, 81, 0, 0], [109.74, 84.3, 65.98]),
        (20, [679, 259, 454, 0, 423, 87, 0, 0, 0, 0, 125, 0, 277], [96.52, 61.36, 46.2]),
    ],
)
def test_the_cholecystectomy_stays_as_it_was(index: int, pixels: list[int], colour: list[float]) -> None:
    # Recorded from the first release; processors may round a pixel at a border to the other side.
    scene = phantom_scenes(PhantomConfig(videos=4, frames=6, height=48, width=48, seed=0))[index]
    np.testing.assert_allclose(np.bincount(scene.mask.ravel(), minlength=13), pixels, atol=2)
    np.testing.assert_allclose(scene.image.mean(axis=(0, 1)), colour, atol=0.3)
