"""Any source of pairs by its run, and the same pairs however many are generated at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rarescene.diffusion import MapSamplingConfig, SamplingConfig
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.files import read_json, write_json
from rarescene.foundation.protocols import Pairs
from rarescene.foundation.run_record import read_record
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import Request, open_scenes
from rarescene.sources.pair_source import PairSource, open_pair_source
from rarescene.training import to_pixels

from ..commands.test_joint import words

Pairing = PairSource[Request]
SAMPLING = SamplingConfig(steps=2, block=4)
MAP_SAMPLING = MapSamplingConfig(steps=1, tries=2, block=4)


@pytest.fixture(scope="module")
def joint(joint_run: Path) -> Pairing:
    return open_pair_source(joint_run, sampling=SAMPLING)


@pytest.fixture(scope="module")
def two_stage(generator_run: Path, maps_run: Path) -> Pairing:
    return open_pair_source(generator_run, maps_run, sampling=SAMPLING, map_sampling=MAP_SAMPLING)


def test_a_source_says_what_must_be_known_of_it(joint: Pairing, joint_run: Path) -> None:
    record = read_record(joint_run)
    assert (joint.name, joint.height, joint.width, joint.words) == ("joint_latent", 32, 32, False)
    assert joint.provenance == record.provenance
    assert sum(joint.pool.counts) == 24
    assert joint.provenance.grouping == {record.provenance.name: None}
    assert joint.made_by["sampling"]["steps"] == 2


def test_maps_and_images_are_one_source(two_stage: Pairing, generator_run: Path, maps_run: Path) -> None:
    assert (two_stage.name, two_stage.words) == ("casdm", True)
    behind = [read_record(run).provenance for run in (generator_run, maps_run)]
    assert two_stage.provenance == behind[0].union(behind[1])
    assert sum(two_stage.pool.counts) == 24


@pytest.mark.parametrize("source", ["joint", "two_stage"])
def test_a_pair_is_the_same_to_the_byte_however_many_are_drawn(
    source: str, request: pytest.FixtureRequest
) -> None:
    pairs_of: Pairing = request.getfixturevalue(source)
    wanted = [pairs_of.pool.sample(0, index) for index in range(6)]
    told: list[tuple[int, int]] = []
    pairs = pairs_of.generate(wanted, range(6), lambda done, total: told.append((done, total)))
    of_two_blocks = [(1, 2), (2, 2)] * 2
    if source == "joint":
        assert told == of_two_blocks
    else:  # after the maps' own steps, one for each try
        assert [one for one in told if one[1] == 2] == of_two_blocks
        assert 2 <= told.count((1, 1)) <= 4
    assert len(pairs) == 6
    assert pairs.confidence is not None
    for count in (1, 3):
        fewer = pairs_of.generate(wanted[:count], range(count))
        assert fewer.confidence is not None
        if source == "joint":  # maps are redrawn in smaller batches, where kernels may round otherwise
            assert torch.equal(fewer.images, pairs.images[:count])
        assert (fewer.masks == pairs.masks[:count]).float().mean() > 0.999
        assert fewer.confidence.shape == fewer.masks.shape


def test_drawn_images_may_join_a_training_step(joint: Pairing) -> None:
    """What is drawn under inference mode could not be kept for a gradient."""
    pairs = joint.generate([joint.pool.sample(0, 0)], [1])
    layer = torch.nn.Conv2d(3, 1, 1)
    layer(pairs.images).sum().backward()
    assert layer.weight.grad is not None


def test_synthesize_draws_what_the_source_draws(joint_run: Path, tmp_path: Path) -> None:
    from rarescene.cli import main

    assert main([*words(joint_run, tmp_path / "pairs", count=5), "--sampling.steps=2"]) == 0
    pairs = open_scenes(f"set:{tmp_path / 'pairs'}")
    wanted = [Request.from_dict(record.details["request"]) for record in pairs.records]
    seeds = [derive_seed(0, "pair", index) for index in range(5)]
    drawn = open_pair_source(joint_run, sampling=SAMPLING).generate(wanted, seeds)
    assert np.array_equal(to_pixels(drawn.images), np.stack([scene.image for scene in pairs]))
    assert np.array_equal(drawn.masks.numpy(), np.stack([scene.mask for scene in pairs]))


def test_labels_support_classes_and_prompts_words(joint: Pairing, two_stage: Pairing) -> None:
    request = Request.parse("grasper: two, upper left", joint.table)
    assert joint.supported(request) == Request.parse("grasper", joint.table)
    assert two_stage.supported(request) == request


def test_runs_that_are_no_source_of_pairs(
    joint_run: Path, generator_run: Path, maps_run: Path, segmenter_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="a generator of images or pairs is needed"):
        open_pair_source(segmenter_run)
    with pytest.raises(ConfigError, match="generates images for masks, and has none"):
        open_pair_source(generator_run)
    with pytest.raises(ConfigError, match="generates its own masks"):
        open_pair_source(joint_run, maps_run)
    with pytest.raises(CheckpointError, match="a generator of maps is needed"):
        open_pair_source(generator_run, joint_run)
    with pytest.raises(ConfigError, match="knows no guidance"):
        open_pair_source(generator_run, maps_run, sampling=SamplingConfig(guidance=2.0))
    with pytest.raises(ConfigError, match=r"map_sampling\.steps is 2000"):
        open_pair_source(generator_run, maps_run, map_sampling=MapSamplingConfig(steps=2000))
    with pytest.raises(ConfigError, match=r"sampling\.steps is 2000"):
        open_pair_source(joint_run, sampling=SamplingConfig(steps=2000))
    with pytest.raises(ConfigError, match=r"sampling\.block is 0"):
        SamplingConfig(block=0)
    assert MapSamplingConfig(guidance=0.5).guidance == 0.5
    with pytest.raises(ConfigError, match=r"map_sampling\.guidance is -1\.0\nGive a number from 0"):
        MapSamplingConfig(guidance=-1.0)
    other = tmp_path / "maps"
    shutil.copytree(maps_run, other)
    record = read_json(other / "run.json")
    record["config"]["group_by"] = r"(\d)$"
    write_json(other / "run.json", record)
    with pytest.raises(ConfigError, match="told apart in two ways"):
        open_pair_source(generator_run, other)
    (other / "requests.json").write_text('{"requests": 3}')
    with pytest.raises(CheckpointError, match="holds no requests"):
        open_pair_source(generator_run, other)


@pytest.mark.parametrize("where", ["images", "confidence"])
def test_what_is_not_finite_is_never_generated(
    where: str, joint: Pairing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(*_: object, **__: object) -> tuple[Pairs, list[dict[str, object]]]:
        images, sure = torch.zeros(4, 3, 8, 8), torch.ones(4, 8, 8)
        (images if where == "images" else sure)[2, ..., 0, 0] = float("nan")
        return Pairs(images, torch.zeros(4, 8, 8, dtype=torch.int64), sure), [{}] * 4

    monkeypatch.setattr(joint, "sample_block", spoilt)
    wanted = [joint.pool.sample(0, index) for index in range(4)]
    with pytest.raises(CheckpointError, match="joint_latent generator drew values that are not finite"):
        joint.sample(wanted, range(4))
    joint.sample(wanted[:2], range(2))  # what fills up a block is not looked at


def test_a_generator_whose_weights_hold_nan_generates_nothing(joint_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(joint_run, tmp_path / "run")
    path = run / "model" / "weights.safetensors"
    state = load_file(path)
    next(iter(state.values()))[:] = float("nan")
    save_file(state, path)
    with pytest.raises(CheckpointError, match="tells another content"):
        open_pair_source(run, sampling=SAMPLING)
    path.with_name(f"{path.name}.sha256").unlink()
    with pytest.raises(CheckpointError, match="not finite"):
        open_pair_source(run, sampling=SAMPLING)
