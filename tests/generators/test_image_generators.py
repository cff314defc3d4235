"""One contract for every image generator: what it draws depends on map and seed alone, and it can be kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rarescene.diffusion import SAMPLERS, DiffusionConfig, SelfPerceptualConfig
from rarescene.foundation.errors import CheckpointError, ConfigError, DeviceError
from rarescene.foundation.protocols import Batch, ImageGenerator, Pairs
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
    kinds_that_draw,
    load_image_generator,
)
from rarescene.training import TrainingConfig, fit

from .toy import NETWORK, TABLE, TRAINING, assert_can_be_learned_from, batches, equal, maps, moved_off_zero

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
every = pytest.mark.parametrize("name", kinds_that_draw("images"))


def learner(name: str, **changes: Any) -> ImageDiffusionLearner[Any]:
    kind, config = LEARNERS[name]
    return kind(replace(config, **changes), TABLE, seed=0)


def trained(name: str, **changes: Any) -> ImageDiffusion[Any]:
    made = learner(name, **changes)
    return made.generator(moved_off_zero(made.network))


def checkpoint_steps(run: Path) -> list[int]:
    return sorted(int(place.name.removeprefix("step_")) for place in (run / "checkpoints").glob("step_*"))


def test_all_generators_are_tested() -> None:
    assert set(LEARNERS) == set(kinds_that_draw("images"))
    assert {kind.name for kind in KINDS} == set(kinds_that_draw("images"))


@every
def test_a_plain_loop_learns_from_drawn_images(name: str) -> None:
    masks = maps(2)
    assert_can_be_learned_from(Pairs(trained(name).generate(masks, seeds=[1, 2], steps=2), masks))


@every
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_image_depends_on_its_map_and_seed_alone(name: str, sampler: str) -> None:
    generator, masks, seeds = trained(name), maps(3), [5, 6, 7]
    together = generator.generate(masks, seeds=seeds, sampler=sampler, steps=4)
    again = generator.generate(masks, seeds=seeds, sampler=sampler, steps=4)
    assert torch.equal(together, again)  # equal blocks: to the byte
    turned = generator.generate(masks.flip(0), seeds=seeds[::-1], sampler=sampler, steps=4).flip(0)
    alone = torch.cat(
        [generator.generate(masks[i : i + 1], seeds=[seeds[i]], sampler=sampler, steps=4) for i in range(3)]
    )
    for other in (turned, alone):  # other blocks: within 2/255, images being 2 wide
        assert (together - other).abs().max() <= 2 * 2 / 255
    other_seed = generator.generate(masks[:1], seeds=[8], sampler=sampler, steps=4)
    other_map = generator.generate(masks[1:2], seeds=[5], sampler=sampler, steps=4)
    assert (other_seed - alone[:1]).abs().max() > 0.05
    assert (other_map - alone[:1]).abs().max() > 0.005


@every
def test_ignored_pixels_are_a_class_of_their_own(name: str) -> None:
    generator = trained(name)
    masks = maps(1)
    ignored = masks.clone()
    ignored[:, 8:] = TABLE.ignore_index
    drawn = [generator.generate(one, seeds=[1], steps=3) for one in (masks, ignored)]
    assert (drawn[0] - drawn[1]).abs().max() > 0.005


@every
def test_half_precision_draws_nearly_the_same_and_leaves_the_weights_alone(name: str) -> None:
    generator = trained(name)
    whole = generator.generate(maps(2), seeds=[1, 2], steps=4)
    half = generator.generate(maps(2), seeds=[1, 2], steps=4, precision="bf16")
    assert 0 < (whole - half).abs().mean() < 0.05
    assert torch.equal(whole, generator.generate(maps(2), seeds=[1, 2], steps=4))


@every
def test_sizes_that_the_strides_do_not_divide_are_padded_and_cut_back(name: str) -> None:
    odd = trained(name).generate(maps(1, 13, 18), seeds=[1], steps=3)
    assert odd.shape == (1, 3, 13, 18)
    assert torch.isfinite(odd).all()


@every
def test_a_saved_generator_is_found_by_its_name_and_draws_the_same(name: str, tmp_path: Path) -> None:
    generator = trained(name)
    assert isinstance(generator, ImageGenerator)
    generator.save(tmp_path)
    loaded = load_image_generator(tmp_path)
    assert type(loaded) is type(generator)
    assert loaded.name == name
    assert (loaded.config, loaded.table) == (generator.config, TABLE)
    one, two = (made.generate(maps(2), seeds=[1, 2], steps=3) for made in (generator, loaded))
    assert torch.equal(one, two)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_the_weights_that_ship_load_by_their_name() -> None:
    shipped = Path(__file__).parents[2] / "src/rarescene/recipes/weights/phantom_casdm/model"
    assert isinstance(load_image_generator(shipped), Casdm)


@every
def test_a_generator_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    trained(name).save(tmp_path)
    others = [kind for kind in KINDS if kind.name != name]
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


@every
@pytest.mark.parametrize("last", [3, 5])
def test_a_killed_training_ends_with_the_same_weights(
    name: str, last: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SDM's fine-tune, like CASDM's second loss, begins at step 3: resumed from 2 before it, from 4 in it."""
    kind, config = LEARNERS[name]
    whole = fit(learner(name), batches(config), TRAINING, tmp_path / "whole", seed=0)
    before_step = kind.before_step

    def dying(self: Any, step: int, average: torch.nn.Module) -> None:
        if step == last:
            raise KeyboardInterrupt
        before_step(self, step, average)

    monkeypatch.setattr(kind, "before_step", dying)
    with pytest.raises(KeyboardInterrupt):
        fit(learner(name), batches(config), TRAINING, tmp_path / "cut", seed=0)
    monkeypatch.undo()
    assert checkpoint_steps(tmp_path / "cut")[-1] == last - 1
    resumed = fit(learner(name), batches(config), TRAINING, tmp_path / "cut", seed=0, resume=True)
    assert equal(whole.average, resumed.average)
    timed = {"scenes_per_second"}
    for one, two in zip(whole.log, resumed.log, strict=True):
        assert {k: v for k, v in one.items() if k not in timed} == {
            k: v for k, v in two.items() if k not in timed
        }


@every
@pytest.mark.parametrize("step", [0, 5])
def test_the_loss_of_a_scene_does_not_depend_on_its_batch(name: str, step: int) -> None:
    made = learner(name)
    moved_off_zero(made.network)
    batch = batches(made.config)(0)
    whole = made(batch, step)["loss"]
    alone = [
        made(Batch(batch.images[i : i + 1], batch.masks[i : i + 1], batch.seeds[i : i + 1]), step)["loss"]
        for i in range(len(batch))
    ]
    torch.testing.assert_close(whole, torch.stack(alone).mean())


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
