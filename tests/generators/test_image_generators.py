"""One contract for every image generator: what it draws depends on map and seed alone, and it can be kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rarescene.diffusion import DiffusionConfig, SelfPerceptualConfig
from rarescene.foundation.errors import CheckpointError, ConfigError, DeviceError
from rarescene.generators import (
    Casdm,
    CasdmConfig,
    CasdmLearner,
    ConditionalDdpm,
    ConditionalDdpmConfig,
    ConditionalDdpmLearner,
    ImageDiffusion,
    ImageDiffusionConfig,
    ImageDiffusionLearner,
    Sdm,
    SdmConfig,
    SdmLearner,
    kinds_that_generate,
    load_image_generator,
)
from rarescene.testing.toys import moved_off_zero
from rarescene.training import TrainingConfig, fit

from .toy import NETWORK, TABLE, TRAINING, batches, maps

SHARED: dict[str, Any] = {
    "height": 16,
    "width": 16,
    "network": NETWORK,
    "diffusion": DiffusionConfig(prediction="v"),
    "training": TRAINING,
}
LEARNERS: dict[str, tuple[type[ImageDiffusionLearner[Any]], ImageDiffusionConfig]] = {
    "casdm": (
        CasdmLearner,
        CasdmConfig(
            **SHARED, self_perceptual=SelfPerceptualConfig(weight=0.1, warmup_steps=3, refresh_every=2)
        ),
    ),
    "sdm": (SdmLearner, SdmConfig(**SHARED, finetune_share=0.5)),
    "conditional_ddpm": (ConditionalDdpmLearner, ConditionalDdpmConfig(**SHARED)),
}
KINDS = (Casdm, Sdm, ConditionalDdpm)
every = pytest.mark.parametrize("name", kinds_that_generate("images"))


def learner(name: str, **changes: Any) -> ImageDiffusionLearner[Any]:
    kind, config = LEARNERS[name]
    return kind(replace(config, **changes), TABLE, seed=0)


def trained(name: str, **changes: Any) -> ImageDiffusion[Any]:
    made = learner(name, **changes)
    return made.generator(moved_off_zero(made.network))


@every
def test_ignored_pixels_are_a_class_of_their_own(name: str) -> None:
    generator = trained(name)
    masks = maps(1)
    ignored = masks.clone()
    ignored[:, 8:] = TABLE.ignore_index
    drawn = [generator.generate(one, seeds=[1], steps=3) for one in (masks, ignored)]
    assert (drawn[0] - drawn[1]).abs().max() > 0.005


@pytest.mark.usefixtures("bfloat16")
@every
def test_half_precision_draws_nearly_the_same_and_leaves_the_weights_alone(name: str) -> None:
    generator = trained(name)
    whole = generator.generate(maps(2), seeds=[1, 2], steps=4)
    half = generator.generate(maps(2), seeds=[1, 2], steps=4, precision="bf16")
    assert 0 < (whole - half).abs().mean() < 0.05
    assert torch.equal(whole, generator.generate(maps(2), seeds=[1, 2], steps=4))


def test_the_weights_that_ship_load_by_their_name() -> None:
    shipped = Path(__file__).parents[2] / "src/rarescene/recipes/weights/phantom_casdm/model"
    assert isinstance(load_image_generator(shipped), Casdm)


@every
def test_a_generator_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    trained(name).save(tmp_path)
    others = [kind for kind in KINDS if kind.method.name != name]
    for other in others:
        with pytest.raises(CheckpointError, match=f"holds a '{name}' generator"):
            other.load(tmp_path)


@pytest.mark.parametrize(
    "content", [{"generator": "maps"}, {"generator": ["sdm"]}, {}, [], {"generator": "sdm"}]
)
def test_what_is_no_image_generator_is_named(content: object, tmp_path: Path) -> None:
    (tmp_path / "generator.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"generator\.json"):
        load_image_generator(tmp_path)
    with pytest.raises(CheckpointError, match="missing"):
        load_image_generator(tmp_path / "missing")


@pytest.mark.parametrize("name", ["casdm", "conditional_ddpm"])
def test_who_never_saw_a_scene_without_its_map_knows_no_guidance(name: str) -> None:
    generator = trained(name)
    with pytest.raises(ConfigError, match="knows no guidance"):
        generator.generate(maps(1), seeds=[1], steps=2, guidance=1.5)
    plain = generator.generate(maps(1), seeds=[1], steps=2)
    assert torch.equal(plain, generator.generate(maps(1), seeds=[1], steps=2, guidance=1.0))


@every
def test_a_device_without_memory_is_told_with_its_remedy(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, made = trained(name), learner(name)

    def full(*inputs: object, **settings: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …")

    monkeypatch.setattr(type(generator.network), "forward", full)
    with pytest.raises(DeviceError, match=r"Tried to allocate 2.00 GiB\)[\s\S]*--sampling.block") as caught:
        generator.generate(maps(1), seeds=[1], steps=2)
    assert "GPU 0" not in str(caught.value)
    with pytest.raises(DeviceError, match=r"training.accumulate[\s\S]*training.batch_size"):
        fit(made, batches(made.config), TrainingConfig(steps=1, batch_size=4), tmp_path, seed=0)
