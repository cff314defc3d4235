"""The plan of phantom scenes: CASDM's twelve figures, videos and episodes."""

from __future__ import annotations

import numpy as np
import pytest

from rarescene.foundation.errors import ConfigError
from rarescene.scenes import PhantomConfig
from rarescene.scenes.datasets.class_tables import CHOLECSEG8K
from rarescene.scenes.datasets.phantom.schedule import plan

# CASDM, section "Dataset": share of the frames, mean share of the area of those frames.
PAPER = {
    "blood": (0.0856, 0.0493),
    "cystic duct": (0.0307, 0.0120),
    "hepatic vein": (0.0392, 0.0024),
    "liver ligament": (0.0297, 0.1410),
    "L-hook electrocautery": (0.2790, 0.0470),
    "connective tissue": (0.1980, 0.1145),
}


@pytest.mark.parametrize("seed", range(5))
def test_twelve_figures_hold_on_200_000_frames(seed: int) -> None:
    planned = plan(PhantomConfig(videos=2500, frames=80, seed=seed))
    assert len(planned.presence) == 200_000
    for name, (share, area) in PAPER.items():
        c = CHOLECSEG8K.id_of(name)
        shown = planned.presence[:, c]
        assert shown.mean() == pytest.approx(share, rel=0.1)
        assert planned.area[shown, c].mean() == pytest.approx(area, rel=0.1)
        assert planned.area[shown, c].std() > 0.1 * area  # they vary
        assert shown.reshape(2500, 80).any(axis=1).mean() >= 1 / 3


@pytest.mark.parametrize(("videos", "frames"), [(6, 40), (7, 60), (9, 50), (12, 80), (101, 80), (30, 11)])
@pytest.mark.parametrize("seed", range(3))
def test_small_sets_keep_the_figures_and_spread_them(videos: int, frames: int, seed: int) -> None:
    planned = plan(PhantomConfig(videos=videos, frames=frames, seed=seed))
    for name, (share, area) in PAPER.items():
        c = CHOLECSEG8K.id_of(name)
        shown = planned.presence[:, c]
        needed = int(np.ceil(videos / 3))
        assert abs(shown.sum() - max(share * videos * frames, needed)) <= 1
        assert planned.area[shown, c].mean() == pytest.approx(area, rel=0.1)
        per_video = shown.reshape(videos, frames)
        assert per_video.any(axis=1).sum() >= needed
        begins = np.diff(per_video, axis=1, prepend=False).astype(int) * per_video
        assert begins.sum(axis=1).max() <= 2, "at most two episodes a video"


def test_each_half_of_twelve_videos_shows_each_rare_class() -> None:
    shown = plan(PhantomConfig(videos=12, frames=80, seed=4)).presence.reshape(12, 80, -1).any(axis=1)
    for name in PAPER:
        for first in range(0, 12, 6):
            assert shown[first : first + 6, CHOLECSEG8K.id_of(name)].any()


@pytest.mark.parametrize(("videos", "frames"), [(1, 1), (1, 3), (2, 1), (3, 1), (5, 2), (100, 1)])
def test_the_smallest_sets_have_a_plan(videos: int, frames: int) -> None:
    planned = plan(PhantomConfig(videos=videos, frames=frames))
    assert planned.presence.shape == planned.area.shape == (videos * frames, 13)


def test_areas_are_shares_of_a_frame() -> None:
    planned = plan(PhantomConfig(videos=300, frames=80, seed=3))
    assert ((planned.area > 0) == planned.presence).all()
    np.testing.assert_allclose(planned.area.sum(axis=1), 1, atol=1e-5)
    assert planned.presence[:, [0, 2]].all()
    assert planned.area[:, 0].min() > 0.1


def test_plan_depends_on_the_seed_and_not_on_the_size() -> None:
    first = plan(PhantomConfig(seed=1, height=64, width=64))
    same = plan(PhantomConfig(seed=1, height=480, width=854))
    other = plan(PhantomConfig(seed=2, height=64, width=64))
    np.testing.assert_array_equal(first.area, same.area)
    assert (first.presence != other.presence).any()


@pytest.mark.parametrize("wrong", [{"videos": 0}, {"frames": 0}, {"height": 8}, {"width": 15}])
def test_impossible_sets_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="phantom"):
        PhantomConfig(**wrong)
