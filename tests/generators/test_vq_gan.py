"""Two networks in one loop never disturb each other, what is encoded comes back, and rare lines survive."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rarescene.diffusion.config import ClassAwareConfig
from rarescene.foundation.errors import CheckpointError, ConfigError, DataError
from rarescene.foundation.files import read_json_lines
from rarescene.foundation.protocols import Batch
from rarescene.generators import (
    ImageVqGan,
    ImageVqGanConfig,
    ImageVqGanLearner,
    MaskVqGan,
    MaskVqGanConfig,
    MaskVqGanLearner,
)
from rarescene.generators.vq_gan_config import AdversarialConfig
from rarescene.generators.vq_losses import adversarial_weight, hinge_loss
from rarescene.networks import VqAutoencoderConfig
from rarescene.scenes import ClassTable, SceneCache, open_scenes, pad_masks
from rarescene.training import Fitted, SceneBatches, TrainingConfig, fit, to_images, to_masks

from .toy import TABLE, toy_scenes

TRAINING = TrainingConfig(
    steps=6, batch_size=4, learning_rate=1e-3, weight_decay=0.01, betas=(0.5, 0.9), gradient_clip=0,
    mixed_precision="no", log_every=3, save_every=3, ema_decay=0.9,
)  # fmt: skip
SIZES: dict[str, Any] = {
    "height": 16,
    "width": 16,
    "network": VqAutoencoderConfig(levels=(8, 16), blocks_per_level=1, patch=2, channels=3, codes=16),
    "revive_every": 2,
    "adversarial": AdversarialConfig(from_step=2, widths=(8, 16)),
    "training": TRAINING,
}
IMAGES, MASKS = ImageVqGanConfig(**SIZES, perceptual_size=32), MaskVqGanConfig(**SIZES)


def learner(kind: str) -> ImageVqGanLearner | MaskVqGanLearner:
    return ImageVqGanLearner(IMAGES, TABLE, 0) if kind == "images" else MaskVqGanLearner(MASKS, TABLE, 0)


def batches(size: int = 4) -> SceneBatches:
    images, masks = toy_scenes()
    return SceneBatches(lambda index: (images[index], masks[index]), range(12), size, seed=1)


def train(folder: Path, kind: str) -> Fitted:
    return fit(learner(kind), batches(), TRAINING, folder, seed=3)


def built(kind: str, network: nn.Module | None = None) -> ImageVqGan | MaskVqGan:
    if kind == "images":
        return ImageVqGan(network or learner(kind).network, IMAGES, TABLE)  # type: ignore[arg-type]
    return MaskVqGan(network or learner(kind).network, MASKS, TABLE)  # type: ignore[arg-type]


def given(kind: str, count: int = 3) -> Tensor:
    images, masks = toy_scenes()
    return to_images(images[:count]) if kind == "images" else to_masks(masks[:count])


both = pytest.mark.parametrize("kind", ["images", "masks"])


@both
def test_gradients_stay_with_the_network_whose_loss_they_are_of(kind: str) -> None:
    def gradients(weight: float, broken: bool) -> tuple[list[Tensor], list[Tensor]]:
        """Of autoencoder and discriminator, with a weight on the adversarial part, or without judgement."""
        made = learner(kind)
        made.config = replace(made.config, adversarial=replace(made.config.adversarial, weight=weight))
        scalars = made(batches()(5), 5)
        loss = scalars["loss"] - scalars["discriminator"] if broken else scalars["loss"]
        loss.backward()
        parts = made.network, made.discriminator
        return tuple(  # type: ignore[return-value]
            [torch.zeros_like(w) if w.grad is None else w.grad for w in part.parameters()]  # type: ignore[union-attr]
            for part in parts
        )

    (whole, judged), (unjudged, none), (other, same) = (
        gradients(0.8, False),
        gradients(0.8, True),
        gradients(0.4, False),
    )
    for one, two in zip(whole, unjudged, strict=True):  # the discriminator's loss moves no autoencoder
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-7)
    assert all(not gradient.any() for gradient in none)  # the autoencoder's loss moves no discriminator
    for one, two in zip(judged, same, strict=True):
        torch.testing.assert_close(one, two)
    assert any(gradient.abs().max() > 0 for gradient in judged)
    assert any(not torch.allclose(one, two) for one, two in zip(whole, other, strict=True))


@both
def test_one_optimiser_does_what_two_would(tmp_path: Path, kind: str) -> None:
    fitted = learner(kind)
    fit(fitted, batches(), TRAINING, tmp_path, seed=3)

    apart = learner(kind)
    network, judge, config = apart.network, apart.discriminator, apart.config
    assert judge is not None
    network.to(memory_format=torch.channels_last), judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network)
    one, other = (
        torch.optim.AdamW(part.parameters(), lr=1e-3, betas=(0.5, 0.9), weight_decay=0.01)
        for part in (network, judge)
    )
    for step in range(6):
        apart.before_step(step, average)
        batch = batches()(step)
        batch = Batch(batch.images.contiguous(memory_format=torch.channels_last), batch.masks, batch.seeds)
        coded = network(apart.encoded(batch))
        terms, drawn, real = apart.reconstructed(coded.output, batch)
        reconstruction = sum(terms.values(), torch.zeros(()))
        loss = reconstruction + coded.quantisation
        judge.requires_grad_(False)
        if step >= config.adversarial.from_step:
            heard = -judge(drawn).mean()
            factor = adversarial_weight(reconstruction, heard, network.last_layer, config.adversarial.cap)
            loss = loss + config.adversarial.weight * factor * heard
        judge.requires_grad_(True)
        judged = hinge_loss(judge(real), judge(drawn.detach()))
        apart.care.observe(coded.latents, coded.codes, network.codebook, step)
        for optimiser, part in ((one, loss), (other, judged)):
            optimiser.zero_grad()
            part.backward()
            optimiser.step()
    for ours, theirs in zip(fitted.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@both
def test_the_log_tells_of_both_networks(tmp_path: Path, kind: str) -> None:
    train(tmp_path, kind)
    log = read_json_lines(tmp_path / "log.jsonl")
    assert {
        "quantisation",
        "discriminator",
        "adversarial",
        "adversarial_weight",
        "perplexity",
        "codes_in_use",
    } <= set(log[-1])
    assert "adversarial" in log[0]  # from step 2 on


def test_the_codebook_of_the_average_follows_at_once(tmp_path: Path) -> None:
    seen = []

    class Watching(MaskVqGanLearner):
        def before_step(self, step: int, average: Any) -> None:
            before = self.network.codebook.detach().clone()
            super().before_step(step, average)
            new = (self.network.codebook.detach() != before).any(1)
            seen.append(int(new.sum()))
            assert torch.equal(average.codebook[new], self.network.codebook.detach()[new])

    fit(Watching(MASKS, TABLE, 0), batches(), TRAINING, tmp_path, seed=3)
    assert seen[:2] == [0, 16]  # all of them after the first step
    assert sum(seen[2:]) > 0


@both
def test_save_and_load(tmp_path: Path, kind: str) -> None:
    made = built(kind)
    made.save(tmp_path)
    loaded = type(made).load(tmp_path)
    assert (loaded.config, loaded.table.fingerprint) == (made.config, TABLE.fingerprint)
    assert (loaded.factor, loaded.channels) == (4, 3)
    other = MaskVqGan if kind == "images" else ImageVqGan
    with pytest.raises(CheckpointError, match="holds a"):
        other.load(tmp_path)


def test_what_is_decoded_is_images_and_probabilities() -> None:
    images, masks = built("images"), built("masks")
    latents = 100 * torch.randn(2, 3, 5, 6)
    pictures, probabilities = images.decode(latents), masks.decode(latents)
    assert pictures.shape == (2, 3, 20, 24)
    assert pictures.abs().max() <= 1
    assert probabilities.shape == (2, 3, 20, 24)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2, 20, 24))
    codes = masks.codes(latents)
    book = masks.network.codebook
    snapped = book[codes].permute(0, 3, 1, 2)  # latents that lie on the codebook already
    assert torch.equal(masks.decode(snapped), probabilities)


@both
def test_a_size_that_the_factor_does_not_divide_is_refused(kind: str) -> None:
    pictures = given(kind)[..., :14]
    with pytest.raises(DataError, match="14×16"):
        built(kind).encode(pictures)


def test_cross_entropy_is_that_of_labelled_pixels() -> None:
    masks = given("masks", 2)
    masks[0, :, 10:] = masks[1, :4] = TABLE.ignore_index
    batch = Batch(torch.zeros(2, 3, 16, 16), masks, [0, 1])
    output = torch.randn(2, 3, 16, 16, requires_grad=True)
    expected = np.mean(
        [F.cross_entropy(output[i, None], masks[i, None], ignore_index=255).item() for i in range(2)]
    )
    terms, drawn, real = learner("masks").reconstructed(output, batch)
    assert terms["cross_entropy"].item() == pytest.approx(expected, rel=1e-5)
    (terms["cross_entropy"] + drawn.square().sum()).backward()
    assert output.grad is not None
    assert not output.grad.permute(0, 2, 3, 1)[masks == 255].any()
    assert output.grad.permute(0, 2, 3, 1)[masks != 255].abs().min() > 0
    assert not real.permute(0, 2, 3, 1)[masks == 255].any()


def test_balanced_weights_make_it_the_mean_of_the_classes() -> None:
    config = replace(MASKS, class_aware=ClassAwareConfig(mode="balanced"))
    masks, output = given("masks", 1), torch.randn(1, 3, 16, 16)
    terms, *_ = MaskVqGanLearner(config, TABLE, 0).reconstructed(
        output, Batch(torch.zeros(1, 3, 16, 16), masks, [0])
    )
    entropy = F.cross_entropy(output, masks, reduction="none")
    by_class = [entropy[masks == c].mean().item() for c in masks.unique()]
    assert terms["cross_entropy"].item() == pytest.approx(np.mean(by_class), rel=1e-5)


def test_a_scene_without_a_label_has_no_loss_and_no_fault() -> None:
    masks = torch.full((2, 16, 16), 255)
    scalars = learner("masks")(Batch(torch.zeros(2, 3, 16, 16), masks, [0, 1]), 5)
    assert scalars["cross_entropy"].item() == 0
    assert all(torch.isfinite(value).all() for value in scalars.values())


def test_without_a_discriminator_there_is_none() -> None:
    config = replace(MASKS, adversarial=AdversarialConfig(weight=0))
    assert MaskVqGanLearner(config, TABLE, 0).discriminator is None
    scalars = MaskVqGanLearner(config, TABLE, 0)(batches()(5), 5)
    assert "discriminator" not in scalars


def test_a_line_of_one_pixel_comes_back(tmp_path: Path) -> None:
    """Overfitted on four masks: every line of the rarest class is reproduced to the pixel, or nearly so."""
    masks = np.zeros((4, 32, 32), np.uint8)
    masks[:, 8:24, 6:26] = 1
    for index in range(4):
        masks[index, np.arange(3, 29), (np.arange(3, 29) * (index + 1) // 2) % 30] = 2
        masks[index, 5 * index + 4, 2:30] = 2
    images = np.zeros((*masks.shape, 3), np.uint8)
    config = MaskVqGanConfig(
        height=32, width=32, revive_every=20,
        network=VqAutoencoderConfig(levels=(32, 48), blocks_per_level=1, patch=2, codes=256, attention=False),
        class_aware=ClassAwareConfig(mode="balanced", exponent=0.5),
        adversarial=AdversarialConfig(from_step=100, weight=0.1, widths=(8, 16, 32)),
        training=replace(
            TRAINING, steps=170, learning_rate=5e-3, decay="cosine", warmup_steps=5, weight_decay=0.0,
            gradient_clip=1.0, ema_decay=0.8, log_every=80, save_every=160,
        ),
    )  # fmt: skip
    fitted = fit(
        MaskVqGanLearner(config, TABLE, 0),
        SceneBatches(lambda index: (images[index], masks[index]), range(4), 4, seed=1),
        config.training, tmp_path, seed=0,
    )  # fmt: skip
    vqgan = MaskVqGan(fitted.average, config, TABLE)  # type: ignore[arg-type]
    found = vqgan.decode(vqgan.encode(to_masks(masks))).argmax(1).numpy()
    for class_id in range(3):
        here, there = masks == class_id, found == class_id
        assert (here & there).sum() / (here | there).sum() > 0.9, class_id


def _trained_on(masks: np.ndarray, table: ClassTable, folder: Path) -> tuple[MaskVqGan, Tensor]:
    """Return a VQ-GAN after a short training on these masks, and what it makes of them."""
    config = replace(
        MASKS, height=64, width=64,
        network=VqAutoencoderConfig(levels=(32,), blocks_per_level=1, patch=4, codes=64, attention=False),
        adversarial=AdversarialConfig(from_step=20, weight=0.1, widths=(8, 16)),
        training=replace(TRAINING, steps=30, learning_rate=5e-3, gradient_clip=1.0, ema_decay=0.5),
    )  # fmt: skip
    images = np.zeros((*masks.shape, 3), np.uint8)
    scenes = SceneBatches(lambda index: (images[index], masks[index]), range(len(masks)), 4, seed=1)
    fitted = fit(MaskVqGanLearner(config, table, 0), scenes, config.training, folder, seed=0)
    vqgan = MaskVqGan(fitted.average, config, table)  # type: ignore[arg-type]
    padded = pad_masks(to_masks(masks), vqgan.factor, table.ignore_index)
    return vqgan, vqgan.decode(vqgan.encode(padded)).argmax(1)


def _cholecseg8k(real_clip: Path) -> SceneCache:
    return SceneCache.build(open_scenes(f"cholecseg8k:{real_clip}"), 64, 64)


def test_real_masks_of_a_clip_come_back(real_clip: Path, tmp_path: Path) -> None:
    cache = _cholecseg8k(real_clip)
    masks = cache.take_masks(range(0, len(cache), 4))
    _, found = _trained_on(masks, cache.classes, tmp_path)
    labelled = masks != cache.classes.ignore_index
    assert (found.numpy() == masks)[labelled].mean() > 0.8


def test_real_cadis_masks_come_back(real_cadis: Path, tmp_path: Path) -> None:
    cache = SceneCache.build(open_scenes(f"cadis:{real_cadis},images=no"), 64, 64, images=False)
    masks = cache.take_masks(range(0, len(cache), 2))
    _, found = _trained_on(masks, cache.classes, tmp_path)
    labelled = masks != cache.classes.ignore_index
    assert (found.numpy() == masks)[labelled].mean() > 0.8


def test_real_frames_pass_through(real_clip: Path) -> None:
    cache = _cholecseg8k(real_clip)
    images = to_images(cache.take([0, 5, 9])[0])
    vqgan = built("images")
    assert vqgan.decode(vqgan.encode(images)).shape == images.shape
    scalars = learner("images")(Batch(images, torch.zeros(3, 64, 64, dtype=torch.long), [0, 1, 2]), 5)
    assert all(torch.isfinite(value).all() for value in scalars.values())


@pytest.mark.parametrize(
    "make",
    [
        lambda: AdversarialConfig(weight=-1),
        lambda: AdversarialConfig(widths=()),
        lambda: replace(MASKS, revive_every=0),
        lambda: replace(MASKS, height=4),
        lambda: replace(IMAGES, perceptual_weight=-1.0),
        lambda: replace(MASKS, rare_scenes=-1.0),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        make()
