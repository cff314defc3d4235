"""CASDM: its two losses, and its weights on disk. What all generators share: test_image_generators.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rarescene.diffusion import (
    ClassAwareConfig,
    DiffusionConfig,
    NoiseSchedule,
    SamplingConfig,
    SelfPerceptualConfig,
    class_aware_mse,
    class_weight_map,
    sample,
)
from rarescene.diffusion.config import Prediction
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.protocols import Batch
from rarescene.generators import Casdm, CasdmConfig, CasdmLearner
from rarescene.networks import one_hot_layout
from rarescene.scenes import AugmentConfig
from rarescene.testing.toys import equal, moved_off_zero
from rarescene.training import fit

from .toy import (
    NETWORK,
    QUICK,
    TABLE,
    TRAINING,
    assert_painted_in_their_colours,
    batches,
    long_training,
    maps,
)

CONFIG = CasdmConfig(
    height=16,
    width=16,
    network=NETWORK,
    diffusion=DiffusionConfig(prediction="v"),
    class_aware=ClassAwareConfig(),
    self_perceptual=SelfPerceptualConfig(weight=0.1, warmup_steps=3, refresh_every=2),
    augment=AugmentConfig(),
    training=TRAINING,
)


def learner(config: CasdmConfig = CONFIG) -> CasdmLearner:
    return CasdmLearner(config, TABLE, seed=0)


def trained(config: CasdmConfig = CONFIG) -> Casdm:
    return Casdm(moved_off_zero(learner(config).network), config, TABLE)  # type: ignore[arg-type]


def test_the_perceptual_loss_sets_in_after_its_warmup_and_its_gradients_are_logged(tmp_path: Path) -> None:
    log = fit(learner(), batches(CONFIG), TRAINING, tmp_path, seed=0).log
    assert "casp" not in log[0]
    assert log[1]["casp"] > 0
    assert log[1]["gradient_camse"] > 0
    assert log[1]["gradient_casp"] > 0


def test_phi_is_the_snapshot_of_the_average_and_takes_no_gradient() -> None:
    made = learner()
    average = trained().network
    made.before_step(2, average)  # before the warm-up ends
    assert made.phi is not None
    assert not equal(made.phi, average)
    made.before_step(3, average)
    assert equal(made.phi, average)
    made(batches(CONFIG)(0), 3)["loss"].backward()
    assert all(weight.grad is None for weight in made.phi.parameters())
    assert any(
        weight.grad is not None and weight.grad.abs().sum() > 0 for weight in made.network.parameters()
    )


class Denoiser(nn.Module):
    """A fixed network: exact for pixels of mean 0 and deviation 1/2, whatever it is asked to predict."""

    def __init__(self, schedule: NoiseSchedule) -> None:
        super().__init__()
        self.schedule, self.scale = schedule, nn.Parameter(torch.ones(()))

    def forward(self, x_t: Tensor, t: Tensor, layout: Tensor) -> Tensor:
        bar = torch.from_numpy(self.schedule.alphas_cumprod)[t].float().view(-1, 1, 1, 1)
        x_0 = bar.sqrt() * x_t / (bar + 4 * (1 - bar))
        return self.scale * self.schedule.target(x_0, (x_t - bar.sqrt() * x_0) / (1 - bar).sqrt(), t)


def shares_of_the_gradient(
    prediction: Prediction, network: nn.Module | None, monkeypatch: pytest.MonkeyPatch
) -> list[float]:
    """Return how large the gradient of Eq. 8 is beside that of Eq. 6, at t from 50 to 950."""
    config = replace(
        CONFIG,
        diffusion=DiffusionConfig(prediction=prediction),
        self_perceptual=SelfPerceptualConfig(weight=1.0, warmup_steps=0),
        training=replace(TRAINING, batch_size=12, log_every=1),
    )
    made = learner(config)
    assert made.phi is not None
    moved_off_zero(made.phi)
    made.network = moved_off_zero(made.network) if network is None else network  # type: ignore[assignment]
    batch, drawn, shares = batches(config)(0), made.schedule.sample, []
    for t in (50, 150, 350, 550, 750, 950):

        def at_t(
            seeds: list[int], like: Tensor, purpose: str = "noise", share: float = 1.0, t: int = t
        ) -> object:
            random, noise = drawn(seeds, like, purpose, share)
            return (torch.full_like(random, t) if purpose == "noise" else random), noise

        monkeypatch.setattr(made.schedule, "sample", at_t)
        scalars = made(batch, 0)
        shares.append(float(scalars["gradient_casp"] / scalars["gradient_camse"]))
    return shares


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_the_perceptual_loss_keeps_its_share_of_the_gradient_at_every_timestep(
    prediction: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Denoiser(NoiseSchedule(DiffusionConfig(prediction=prediction)))
    shares = shares_of_the_gradient(prediction, network, monkeypatch)
    assert max(shares) < 10 * min(shares)
    # The same picture is meant whatever is predicted, so all three must tell the same shares.
    same = Denoiser(NoiseSchedule(DiffusionConfig(prediction="x0")))
    assert shares == pytest.approx(shares_of_the_gradient("x0", same, monkeypatch), rel=0.02)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_it_is_never_the_louder_for_a_network_that_knows_nothing(
    prediction: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose ε̂ puts x̂_0 a hundredfold outside the image at large t, where it is clamped."""
    shares = shares_of_the_gradient(prediction, None, monkeypatch)
    assert max(shares) < 10 * shares[0]


def test_the_perceptual_loss_sets_in_after_three_tenths_of_any_training_unless_told_when() -> None:
    for steps, first in ((10, 3), (4500, 1350), (1, 0)):
        training = replace(TRAINING, steps=steps)
        assert (
            replace(CONFIG, training=training, self_perceptual=SelfPerceptualConfig(1.0)).perceptual_from
            == first
        )
        assert replace(CONFIG, training=training).perceptual_from == 3


def test_a_run_that_is_resumed_for_fewer_steps_has_a_snapshot_already() -> None:
    made, average = (
        learner(
            replace(
                CONFIG,
                training=replace(TRAINING, steps=100),
                self_perceptual=SelfPerceptualConfig(1.0, refresh_every=20),
            )
        ),
        trained().network,
    )
    made.before_step(10, average)  # the loss sets in at 30
    assert made.phi is not None
    assert equal(made.phi, average)


def test_phi_looks_at_the_clean_end_of_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    for share in (0.3, 0.05):
        made = learner(replace(CONFIG, self_perceptual=replace(CONFIG.self_perceptual, noise_share=share)))
        assert made.phi is not None
        monkeypatch.setattr(made.phi, "encode", lambda x, t: (seen.extend(t.tolist()), [x])[1])
        made(Batch(torch.zeros(200, 3, 16, 16), maps(1).expand(200, -1, -1), list(range(200))), 4)
        assert share * 900 < max(seen) < share * 1000
        seen.clear()


MAPLESS = replace(CONFIG, map_dropout=0.3)


def test_a_scene_without_its_map_weighs_its_pixels_alike_and_costs_as_much() -> None:
    made = learner(
        replace(MAPLESS, class_aware=ClassAwareConfig("paper"), self_perceptual=SelfPerceptualConfig())
    )
    seen: list[Tensor] = []
    made.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[2]))
    count = 400
    masks, images = maps(1).expand(count, -1, -1), torch.rand(count, 3, 16, 16) * 2 - 1
    camse = made(Batch(images, masks, list(range(count))), 0)["camse"]
    dropped = seen[0].flatten(1).sum(1) == 0
    assert torch.equal(seen[0][~dropped], one_hot_layout(masks, 3)[~dropped])
    assert dropped.float().mean().item() == pytest.approx(0.3, abs=0.09)
    made(Batch(images[:7], masks[:7], list(range(100, 107))), 0)
    assert torch.equal(seen[1], seen[0][100:107])  # as each scene's own seed decides

    t, noise = made.schedule.sample(range(count), images)
    weights = class_weight_map(masks, 3, TABLE.ignore_index, ClassAwareConfig("paper"))
    weights[dropped] = weights[dropped].mean(dim=(1, 2), keepdim=True).expand(-1, 16, 16)
    wanted = made.schedule.target(images, noise, t)  # an untrained network answers 0
    torch.testing.assert_close(camse, class_aware_mse(torch.zeros_like(wanted), wanted, weights).mean())


def test_maps_are_kept_unless_asked_for() -> None:
    made = learner()
    seen: list[Tensor] = []
    made.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[2]))
    made(Batch(torch.zeros(50, 3, 16, 16), maps(1).expand(50, -1, -1), list(range(50))), 0)
    assert (seen[0].sum(1) == 1).all()


def test_who_was_trained_without_maps_too_can_be_guided_and_is_not_unless_asked() -> None:
    generator, masks, seeds = trained(MAPLESS), maps(3), range(3)
    assert generator.knows_guidance
    assert not trained().knows_guidance
    layout = one_hot_layout(masks, 3)

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        given, free = (generator.network(x_t, t, one) for one in (layout, torch.zeros_like(layout)))
        return free + 2.5 * (given - free)

    expected = sample(denoise, (3, 16, 16), seeds, generator.schedule, steps=4)
    options = generator.sampling(SamplingConfig(steps=4, guidance=2.5))
    drawn = generator.generate(masks, seeds=seeds, **options)
    torch.testing.assert_close(drawn, expected, rtol=1e-3, atol=1e-3)
    usual = generator.generate(masks, seeds=seeds, steps=4)
    assert torch.equal(usual, trained().generate(masks, seeds=seeds, steps=4))
    assert (drawn - usual).abs().max() > 0.002
    with pytest.raises(ConfigError, match="Take 0 or more"):
        generator.check(4, -2.0)


def test_weights_of_before_an_option_mean_what_they_meant() -> None:
    shipped = Casdm.load(Path(__file__).parents[2] / "src/rarescene/recipes/weights/phantom_casdm/model")
    config = shipped.config
    assert config.perceptual_from == config.self_perceptual.warmup_steps == 3000
    assert (config.diffusion.schedule, config.map_dropout, config.augment.colour) == ("linear", 0, 0)
    assert not shipped.knows_guidance


def test_without_weight_there_is_no_phi() -> None:
    plain = replace(CONFIG, self_perceptual=SelfPerceptualConfig(weight=0.0))
    made = learner(plain)
    assert made.phi is None
    assert set(made(batches(plain)(0), 10)) == {"loss", "camse"}


def test_damaged_or_foreign_weights_are_named(tmp_path: Path) -> None:
    trained().save(tmp_path)
    weights = tmp_path / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"weights\.safetensors"):
        Casdm.load(tmp_path)
    wide = replace(CONFIG, network=replace(CONFIG.network, base_channels=32))
    trained(wide).save(tmp_path / "wide")
    weights.write_bytes((tmp_path / "wide" / "weights.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="tells another content"):
        Casdm.load(tmp_path)
    (tmp_path / "weights.safetensors.sha256").unlink()  # as in a folder that an earlier version wrote
    with pytest.raises(CheckpointError, match="do not fit"):
        Casdm.load(tmp_path)


@pytest.mark.slow
def test_it_learns_to_paint_each_class_in_its_colour(tmp_path: Path) -> None:
    config = replace(
        CONFIG,
        network=QUICK,
        training=long_training(),
        self_perceptual=SelfPerceptualConfig(weight=0.02, warmup_steps=60, refresh_every=30),
    )
    fitted = fit(learner(config), batches(config), config.training, tmp_path, seed=0)
    generator = Casdm(fitted.average, config, TABLE)  # type: ignore[arg-type]
    masks = maps(4)
    assert_painted_in_their_colours(generator.generate(masks, seeds=range(4), steps=10), masks)
