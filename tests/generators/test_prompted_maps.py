"""The map generator: what it learns, what it generates, and what it generates again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rarescene.diffusion import ClassAwareConfig, DiffusionConfig
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.files import read_json, write_json
from rarescene.foundation.protocols import Batch
from rarescene.generators import (
    MapCode,
    PromptBook,
    PromptConfig,
    PromptedMaps,
    PromptedMapsConfig,
    PromptedMapsLearner,
    rare_scene_weights,
)
from rarescene.generators.prompted_maps import thin_out
from rarescene.networks import EMBEDDED, PromptUNetConfig, TextEncoder
from rarescene.scenes import NO_AUGMENTATION, ClassTable, Request, SceneClass
from rarescene.training import SceneBatches, TrainingConfig, fit

TABLE = ClassTable(
    "toy",
    (SceneClass(0, "dark", (0, 0, 0)), SceneClass(1, "red", (255, 0, 0)), SceneClass(2, "blue", (0, 0, 255))),
)
TOUCHING = np.ones((3, 3))
CONFIG = PromptedMapsConfig(
    height=16,
    width=16,
    representation="one_hot",
    network=PromptUNetConfig(
        channels=(16, 32),
        attention_strides=(4,),
        blocks_per_level=1,
        head_channels=16,
        prompt_channels=16,
        patch=2,
    ),
    diffusion=DiffusionConfig(prediction="x0"),
    augment=NO_AUGMENTATION,
    training=TrainingConfig(
        steps=6,
        batch_size=4,
        learning_rate=1e-3,
        mixed_precision="no",
        log_every=2,
        save_every=2,
        ema_decay=0.9,
    ),
)


@pytest.fixture(scope="module")
def book() -> PromptBook:
    return PromptBook.write(TABLE, TextEncoder.open(EMBEDDED), 2)


def scenes() -> np.ndarray:
    """A red square at the left or right, upper or lower; with blue below it where it is upper."""
    masks = np.zeros((16, 16, 16), np.uint8)
    for index in range(16):
        y, x = (2, 10)[index // 2 % 2], (1, 11)[index % 2]
        masks[index, y : y + 4, x : x + 4] = 1
        if y == 2:
            masks[index, 12:14] = 2
    return masks


def batches(config: PromptedMapsConfig = CONFIG) -> SceneBatches:
    masks = scenes()
    return SceneBatches(
        lambda index: (np.zeros((len(index), 16, 16, 3), np.uint8), masks[index]),
        range(16), config.training.batch_size, seed=1,
    )  # fmt: skip


def learner(book: PromptBook, config: PromptedMapsConfig = CONFIG) -> PromptedMapsLearner:
    return PromptedMapsLearner(config, book, MapCode.of(config.representation, TOUCHING), seed=0)


def trained(book: PromptBook, config: PromptedMapsConfig = CONFIG) -> PromptedMaps:
    """A generator whose output depends on everything: new attention layers answer 0."""
    made = learner(book, config)
    generator = torch.Generator().manual_seed(0)
    for weight in made.network.parameters():
        weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    return PromptedMaps(made.network, config, book, made.code)


def asked(*texts: str) -> list[Request]:
    return [Request.parse(text, TABLE) for text in texts]


THREE = ("red: one, upper left", "", "blue; red: two")


def test_no_guidance_is_the_prompted_network_alone(book: PromptBook) -> None:
    generator = trained(book)
    maps = [
        generator.generate(asked(THREE[0]), seeds=[1], steps=3, guidance=s)[1] for s in (1.0, 1.000001, 4.0)
    ]
    torch.testing.assert_close(maps[0], maps[1], atol=1e-3, rtol=0)
    assert (maps[0] - maps[2]).abs().max() > 1e-3


@pytest.mark.usefixtures("bfloat16")
def test_half_precision_draws_nearly_the_same(book: PromptBook) -> None:
    generator = trained(book)
    whole, half = (
        generator.generate(asked(*THREE), seeds=[1, 2, 3], steps=4, precision=p)[1] for p in ("no", "bf16")
    )
    assert 0 < (whole - half).abs().mean() < 0.1


@pytest.mark.parametrize("representation", ["colours", "bits", "one_hot"])
def test_sizes_that_the_strides_do_not_divide(representation: str, book: PromptBook) -> None:
    config = replace(CONFIG, height=18, width=21, representation=representation)  # type: ignore[arg-type]
    ids, confidence = trained(book, config).generate(asked("red"), seeds=[1], steps=2)
    assert ids.shape == confidence.shape == (1, 18, 21)
    assert 0 <= confidence.min() <= confidence.max() <= 1
    assert 0 <= ids.min() <= ids.max() < 3


def test_prompts_of_another_text_encoder_are_refused(book: PromptBook, tmp_path: Path) -> None:
    made = PromptedMapsLearner(CONFIG, book, MapCode.of(CONFIG.representation, TOUCHING), seed=0)
    PromptedMaps(made.network, CONFIG, book, made.code).save(tmp_path)
    described = read_json(tmp_path / "prompts.json")
    write_json(tmp_path / "prompts.json", described | {"fingerprint": "another"})
    with pytest.raises(CheckpointError, match="another text encoder"):
        PromptedMaps.load(tmp_path)


def test_the_loss_of_a_scene_does_not_depend_on_its_batch(book: PromptBook) -> None:
    made, batch = learner(book), batches()(0)
    alone = [
        made(Batch(batch.images[i : i + 1], batch.masks[i : i + 1], batch.seeds[i : i + 1]), 0)["loss"]
        for i in range(4)
    ]
    torch.testing.assert_close(made(batch, 0)["loss"], torch.stack(alone).mean())
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(made(batch, 0)["loss"], torch.stack(alone).mean(), atol=0.05, rtol=0.05)


def test_ignored_pixels_have_no_part_in_the_loss(book: PromptBook) -> None:
    """However the network answers there, the loss is the same; elsewhere it is not."""
    made, batch = learner(book, replace(CONFIG, class_aware=ClassAwareConfig(mode="balanced"))), batches()(0)
    batch.masks[:, :, 9:] = 255
    weights = made._weights(batch.masks)
    assert not weights[batch.masks == 255].any()
    torch.testing.assert_close(weights.mean(dim=(1, 2)), torch.ones(4))
    assert torch.isfinite(made(batch, 0)["loss"])
    batch.masks[:] = 255
    assert made(batch, 0)["loss"] == 0


def test_prompts_leave_unsaid_what_the_chances_say() -> None:
    request = Request.parse("dark: one, centre; red: two, upper left; blue: one, centre", TABLE)
    config = PromptConfig(nothing=0.2, single=0.3, some=0.25, without_place=0.4, without_count=0.1)
    drawn = [thin_out(request, seed, config, np.array([1.0, 1.0, 8.0])) for seed in range(4000)]
    sizes = Counter(len(one.classes) for one in drawn)
    assert sizes[0] / 4000 == pytest.approx(0.2 + 0.25 / 8, abs=0.03)
    assert sizes[1] / 4000 == pytest.approx(0.3 + 0.25 * 3 / 8, abs=0.03)
    assert sizes[3] / 4000 == pytest.approx(0.25 + 0.25 / 8, abs=0.03)
    alone = Counter(one.ids for one in drawn if len(one.classes) == 1)
    assert alone[(2,)] > 3 * alone[(0,)]
    entries = [entry for one in drawn for entry in one.classes]
    assert np.mean([entry.place is None for entry in entries]) == pytest.approx(0.4, abs=0.03)
    assert np.mean([entry.count is None for entry in entries]) == pytest.approx(0.1, abs=0.03)
    assert drawn == [thin_out(request, seed, config, np.array([1.0, 1.0, 8.0])) for seed in range(4000)]
    assert thin_out(Request(()), 0, config, np.ones(3)) == Request(())


def test_scenes_of_rare_classes_weigh_more() -> None:
    pixels = np.array([[9, 0, 0], [9, 1, 0], [9, 1, 2], [9, 0, 0]])
    assert rare_scene_weights(pixels, 0.0) is None
    weights = rare_scene_weights(pixels, 0.5)
    assert weights is not None
    np.testing.assert_allclose(weights, [1, 2**0.5, 2, 1])


class Scripted(PromptedMaps):
    """Draws red in the upper left from the third try on, and dark before."""

    def __init__(self, book: PromptBook) -> None:
        made = trained(book)
        super().__init__(made.network, made.config, book, made.code)
        self.calls: list[list[int]] = []

    def generate(self, requests, *, seeds, **options):  # type: ignore[no-untyped-def]
        self.calls.append(list(seeds))
        masks = torch.zeros(len(requests), 16, 16, dtype=torch.long)
        if len(self.calls) == 2:
            masks[:, 12:, 12:] = 1
        if len(self.calls) == 3:
            masks[:, :3, :3] = 1
        return masks, torch.full((len(requests), 16, 16), 0.5)


def test_a_map_that_breaks_its_request_is_generated_again_from_another_seed(book: PromptBook) -> None:
    generator = Scripted(book)
    drawn = generator.generate_checked(asked("red: one, upper left", "dark"), seeds=[11, 12], tries=5)
    assert [len(seeds) for seeds in generator.calls] == [2, 1, 1]
    assert len({seed for seeds in generator.calls for seed in seeds}) == 4
    assert [one.tries for one in drawn] == [3, 1]
    assert all(one.report.kept for one in drawn)
    assert [one.first.kept for one in drawn] == [False, True]
    assert drawn[0].seed == generator.calls[2][0]
    assert drawn[1].seed == 12


def test_of_tries_in_vain_the_best_is_returned(book: PromptBook) -> None:
    drawn = Scripted(book).generate_checked(asked("red: two, centre"), seeds=[1], tries=2)[0]
    assert (drawn.tries, drawn.report.kept, drawn.report.present) == (2, False, 1.0)
    assert drawn.first.present == 0.0
    assert (drawn.mask == 1).sum() == 16


def test_options_that_cannot_be_are_refused() -> None:
    for values in (
        {"height": 8}, {"representation": "words"}, {"rare_scenes": -1.0}, {"specks": 0.5},
        {"prompts": {"nothing": 0.8, "single": 0.8}},
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            replace(
                CONFIG,
                **(values if "prompts" not in values else {"prompts": PromptConfig(**values["prompts"])}),
            )  # type: ignore[arg-type]


@pytest.mark.slow
def test_it_learns_to_put_a_class_where_it_is_asked_for(book: PromptBook, tmp_path: Path) -> None:
    training = replace(
        CONFIG.training,
        steps=200,
        batch_size=16,
        learning_rate=4e-3,
        decay="cosine",
        log_every=100,
        save_every=200,
    )
    config = replace(CONFIG, training=training, representation="colours")
    made = learner(book, config)
    fitted = fit(made, batches(config), training, tmp_path, seed=0)
    generator = PromptedMaps(fitted.average, config, book, made.code)  # type: ignore[arg-type]
    places = ("upper left", "upper right", "lower left", "lower right")
    requests = asked(*(f"red: one, {place}" for place in places for _ in range(4)))
    drawn = generator.generate_checked(requests, seeds=range(16), tries=1, steps=10, guidance=1.5)
    assert np.mean([one.report.kept for one in drawn]) >= 0.8
    below = [bool((one.mask == 2).any()) for one in drawn]
    assert np.mean(below[:8]) > 0.8  # what was not asked for still belongs to the scene
    assert np.mean(below[8:]) < 0.2
