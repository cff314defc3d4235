"""Joint latent diffusion: what it learns of image and mask together, and what it generates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rarescene.diffusion import DiffusionConfig
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.protocols import Pairs
from rarescene.generators import (
    JointLatent,
    JointLatentConfig,
    JointLatentLearner,
    LabelCondition,
    PromptBook,
    TextCondition,
)
from rarescene.networks import EMBEDDED, LabelUNet, TextEncoder
from rarescene.scenes import ClassTable, Request, SceneClass
from rarescene.testing.generators import (
    can_be_learned_from,
    killed_training_resumes,
    loss_is_the_mean_of_scenes,
)
from rarescene.training import fit

from .toy import TABLE
from .toy_pairs import CONFIG, ToyImages, ToyMasks, codec, prepared, two_scenes, untrained


def asked(*texts: str) -> list[Request]:
    return [Request.parse(text, TABLE) for text in texts]


LONG = replace(
    CONFIG,
    diffusion=DiffusionConfig(prediction="v"),
    training=replace(
        CONFIG.training, steps=120, batch_size=16, learning_rate=2e-3, decay="cosine", log_every=120,
        save_every=120, ema_decay=0.95,
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> JointLatent:
    learner, batches, made, scales = prepared(LONG)
    fitted = fit(learner, batches, LONG.training, tmp_path_factory.mktemp("run"), seed=0)
    return JointLatent(fitted.average, LONG, made, scales, learner.condition)


def shows(pairs: Pairs) -> list[tuple[str, str]]:
    """The colour of each image's middle, and the class of its mask's middle."""
    middle = pairs.images[:, :, 6:10, 6:10].mean((2, 3))
    colours = ["red" if red > blue else "blue" for red, _, blue in middle.tolist()]
    names = [TABLE.names[int(mask[6:10, 6:10].flatten().mode().values)] for mask in pairs.masks]
    return list(zip(colours, names, strict=True))


def test_image_and_mask_show_what_was_asked(learned: JointLatent) -> None:
    wanted = ["red", "blue"] * 6
    pairs = learned.generate(asked(*(f"dark; {name}" for name in wanted)), seeds=range(12))
    assert shows(pairs) == [(name, name) for name in wanted]
    _, masks = two_scenes()
    right = pairs.masks == torch.from_numpy(masks)[[0, 1] * 6].long()
    assert right.float().mean() > 0.94
    assert pairs.confidence is not None
    assert pairs.confidence.shape == pairs.masks.shape
    assert 1 / 3 <= pairs.confidence.min() <= pairs.confidence.max() <= 1


def test_where_nothing_is_asked_both_kinds_come_and_image_and_mask_still_agree(learned: JointLatent) -> None:
    found = shows(learned.generate(asked(*[""] * 24), seeds=range(24)))
    assert all(image == mask for image, mask in found)
    assert 4 <= found.count(("red", "red")) <= 20


@pytest.mark.parametrize("guidance", [1.5, 4.0])
def test_guidance_keeps_what_was_asked(guidance: float, learned: JointLatent) -> None:
    pairs = learned.generate(asked("dark; blue", "dark; red"), seeds=[1, 2], guidance=guidance)
    assert shows(pairs) == [("blue", "blue"), ("red", "red")]


def test_guidance_of_one_and_of_nought() -> None:
    """Eq. 6: s = 1 is the conditional network alone, s = 0 the one that is told nothing."""
    config = replace(CONFIG, diffusion=DiffusionConfig(prediction="v"))
    generator, wanted = untrained(config), asked("red", "dark; blue", "dark")
    images = {
        s: generator.generate(wanted, seeds=[1, 2, 3], steps=4, guidance=s).images
        for s in (0.0, 0.5, 1.0, 1 + 1e-6, 3.0)
    }
    free = generator.generate(asked("", "", ""), seeds=[1, 2, 3], steps=4, guidance=1.0).images
    assert torch.equal(images[0.0], free)
    torch.testing.assert_close(images[1.0], images[1 + 1e-6], atol=1e-3, rtol=0)
    for one, other in ((0.0, 0.5), (0.5, 1.0), (1.0, 3.0)):
        assert (images[one] - images[other]).abs().max() > 1e-3
    default = untrained(replace(config, guidance=3.0)).generate(wanted, seeds=[1, 2, 3], steps=4)
    assert torch.equal(default.images, images[3.0])


def test_sampled_latents_stay_where_those_of_the_scenes_lie() -> None:
    """With ε-prediction, x̂_0 of an untrained network is off by hundreds; it is kept within the range."""
    generator = untrained()
    spread: list[torch.Tensor] = []
    decode = generator.codec.decode

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(generator_codec, name)

        def decode(self, z: torch.Tensor, height: int, width: int) -> Pairs:
            spread.append(generator.scales.standardise(z))
            return decode(z, height, width)

    generator_codec, generator.codec = generator.codec, Watched()  # type: ignore[assignment]
    generator.generate(asked("red"), seeds=[1], steps=20)
    assert (spread[0] >= generator.scales.lowest - 1e-3).all()
    assert (spread[0] <= generator.scales.highest + 1e-3).all()


@pytest.mark.usefixtures("bfloat16")
def test_half_precision_draws_nearly_the_same() -> None:
    generator = untrained(replace(CONFIG, diffusion=DiffusionConfig(prediction="v")))
    whole, half = (
        generator.generate(asked("red"), seeds=[1], steps=4, precision=precision).images
        for precision in ("no", "bf16")
    )
    assert 0 < (whole - half).abs().mean() < 0.05


@pytest.mark.usefixtures("bfloat16")
def test_a_plain_loop_learns_from_pairs_in_half_precision() -> None:
    can_be_learned_from(untrained().generate(asked("red", ""), seeds=[1, 2], steps=2, precision="bf16"))


def test_the_loss_of_a_scene_does_not_depend_on_its_batch() -> None:
    learner, batches, _, _ = prepared()
    loss_is_the_mean_of_scenes(learner, batches(0), 0)


def test_a_killed_training_resumes_to_the_same_weights() -> None:
    config = replace(CONFIG, horizontal_flip=0.5)
    killed_training_resumes(lambda: prepared(config)[0], prepared(config)[1], config.training, 5)


def test_specks_are_painted_over_but_not_what_was_asked() -> None:
    plain = untrained()
    clean = JointLatent(
        plain.network, replace(CONFIG, specks=0.05), plain.codec, plain.scales, plain.condition
    )
    wanted = asked("red; blue; dark")
    before, after = (one.generate(wanted, seeds=[3], steps=4) for one in (plain, clean))
    changed = before.masks != after.masks
    assert changed.any()
    assert torch.equal(before.images, after.images)
    assert before.confidence is not None
    assert after.confidence is not None
    assert (after.confidence[changed] == 0).all()
    assert torch.equal(after.confidence[~changed], before.confidence[~changed])
    assert set(after.masks.unique().tolist()) == set(before.masks.unique().tolist())


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_the_loss_is_the_weighted_mean_of_each_modality(prediction: str) -> None:
    """Eq. 5, against the same numbers worked out scene by scene."""
    config = replace(
        CONFIG, diffusion=DiffusionConfig(prediction=prediction), image_weight=0.5, mask_weight=2.0,
        condition_dropout=0.0,
    )  # fmt: skip
    learner, batches, _, _ = prepared(config)
    batch = batches(0)
    told = learner(batch, 0)
    of_image, of_mask = [], []
    for z, row, seed in zip(batch.images, batch.masks.tolist(), batch.seeds, strict=True):
        t, noise = learner.schedule.sample([seed], z[None])
        labels = torch.from_numpy(learner.requests[row].multi_hot(3))[None]
        z_t = learner.schedule.add_noise(z[None], noise, t)
        output = learner.network(z_t, t, labels, torch.tensor([True]))
        error = (output - learner.schedule.target(z[None], noise, t)).square()[0]
        of_image.append(error[:48].mean())
        of_mask.append(error[48:].mean())
    torch.testing.assert_close(told["image"], torch.stack(of_image).mean())
    torch.testing.assert_close(told["mask"], torch.stack(of_mask).mean())
    torch.testing.assert_close(told["loss"], 0.5 * told["image"] + 2.0 * told["mask"])


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_as_many_conditions_are_dropped_as_was_set(share: float) -> None:
    condition = LabelCondition(replace(CONFIG, condition_dropout=share), TABLE)
    full = asked("red; dark")[0]
    told = [condition.thinned(full, seed) for seed in range(4000)]
    assert set(told) <= {full, Request(())}
    dropped = sum(not one.classes for one in told) / 4000
    assert dropped == pytest.approx(share, abs=4 * (share * (1 - share) / 4000) ** 0.5)
    assert told == [condition.thinned(full, seed) for seed in range(4000)]


def test_nothing_asked_is_not_no_class_at_all() -> None:
    network = untrained().network
    assert isinstance(network, LabelUNet)
    z, t, none = torch.randn(1, 96, 4, 4), torch.tensor([500]), torch.zeros(1, 3)
    told, free = (network(z, t, none, torch.tensor([asked])) for asked in (True, False))
    assert (told - free).abs().max() > 1e-3
    assert torch.equal(network(z, t, none + 7, torch.tensor([False])), free)


def test_text_asks_with_numbers_and_places() -> None:
    config = replace(CONFIG, condition="text", diffusion=DiffusionConfig(prediction="v"))
    book = PromptBook.write(TABLE, TextEncoder.open(EMBEDDED), 2)
    condition = TextCondition(config, book, [1.0, 0.5, 0.5])
    _, batches, made, scales = prepared(config)
    learner = JointLatentLearner(config, condition, made.channels, [asked("red")[0]] * 8, seed=0)
    assert learner(batches(0), 0)["loss"].isfinite()
    for weight in learner.network.parameters():
        weight.data += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    generator = JointLatent(learner.network, config, made, scales, condition)
    texts = ("red: one, upper left", "red: one, lower right", "red: two", "")
    drawn = [generator.generate(asked(text), seeds=[1], steps=3, guidance=1.0).images for text in texts]
    for one in range(4):
        for other in range(one):
            assert (drawn[one] - drawn[other]).abs().max() > 1e-4, (texts[one], texts[other])
    free = generator.generate(asked(texts[0]), seeds=[1], steps=3, guidance=0.0).images
    assert torch.equal(free, drawn[3])


def test_text_drops_as_many_conditions_as_labels_do() -> None:
    config = replace(CONFIG, condition="text", condition_dropout=0.25)
    assert config.prompts.nothing == 0.25
    condition = TextCondition(config, PromptBook.write(TABLE, TextEncoder.open(EMBEDDED), 1))
    full = asked("red: one, centre; dark")[0]
    told = [condition.thinned(full, seed) for seed in range(2000)]
    # A request also comes out empty where `some` leaves every class out: of two, with chance 0.2 / 4.
    expected = 0.25 + config.prompts.some / 4
    assert np.mean([not one.classes for one in told]) == pytest.approx(expected, abs=0.04)


def test_vq_gans_that_do_not_fit_each_other() -> None:
    strange = ClassTable("strange", (SceneClass(0, "x", (1, 2, 3)),))
    with pytest.raises(CheckpointError, match="of 'toy', the mask one 'strange'"):
        codec(masks=ToyMasks(strange))
    coarse = ToyImages()
    coarse.factor = 8  # type: ignore[misc]
    with pytest.raises(CheckpointError, match="8 pixels one and that of masks 4"):
        codec(images=coarse)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"height": 8}, "height is 8"),
        ({"condition": "image"}, "condition is 'image'"),
        ({"condition_dropout": 1.5}, "condition_dropout is 1.5"),
        ({"horizontal_flip": -1}, "horizontal_flip is -1"),
        ({"guidance": -0.5}, "guidance is -0.5"),
        ({"condition_dropout": 0.0, "guidance": 2.0}, "no condition is ever dropped"),
        ({"rare_scenes": -1}, "rare_scenes is -1"),
        ({"image_weight": 0.0, "mask_weight": 0.0}, "mask_weight 0.0"),
        ({"specks": 0.5}, "specks is 0.5"),
        ({"condition": "text", "condition_dropout": 0.9, "guidance": 1.0}, "chances of prompts"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, object], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        JointLatentConfig(**changes)  # type: ignore[arg-type]


def test_draws_that_make_no_sense() -> None:
    never_free = untrained(replace(CONFIG, condition_dropout=0.0))
    with pytest.raises(ConfigError, match="never trained without its condition"):
        never_free.generate(asked("red"), seeds=[1], guidance=2.0)
    with pytest.raises(ConfigError, match=r"sampling\.steps is 2000"):
        untrained().generate(asked("red"), seeds=[1], steps=2000)
    with pytest.raises(ConfigError, match=r"sampling\.guidance is -1"):
        untrained().generate(asked("red"), seeds=[1], guidance=-1)


def test_what_is_said_of_a_guidance_scale_is_true() -> None:
    for scale in (0.0, 0.5):
        assert replace(CONFIG, guidance=scale).guidance == scale
        untrained().check(4, scale)
    with pytest.raises(ConfigError, match=r"guidance is -0\.5"):
        replace(CONFIG, guidance=-0.5)
