"""The class-aware self-perceptual loss: its value from Eq. 8, and the road of its gradient from Φ to ε̂."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rarescene.diffusion import (
    ClassAwareConfig,
    DiffusionConfig,
    NoiseSchedule,
    clamp_straight_through,
    class_aware_self_perceptual,
    class_weight_map,
)


class SmallEncoder(nn.Module):
    """Φ: three feature maps at full, half and quarter size, told the timestep."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        widths = [3, 6, 8, 10]
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=1 if i == 0 else 2, padding=1)
            for i, (a, b) in enumerate(pairwise(widths))
        )
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3

    def forward(self, x: Tensor, t: Tensor) -> list[Tensor]:
        x = x + 1e-3 * t.view(-1, 1, 1, 1)
        features = []
        for layer in self.layers:
            x = torch.tanh(layer(x))
            features.append(x)
        return features


def scenes(batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return images, masks with a one-pixel class and an ignored corner, and noise."""
    generator = torch.Generator().manual_seed(batch)
    images = torch.rand(batch, 3, 16, 16, generator=generator) * 2 - 1
    masks = torch.randint(3, (batch, 16, 16), generator=generator)
    masks[:, 5, 6], masks[:, :2, :2] = 4, 255
    return images, masks, torch.randn(batch, 3, 16, 16, generator=generator)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("pool", ["max", "area"])
@pytest.mark.parametrize("mode", ["balanced", "paper"])
@pytest.mark.parametrize("batch", [1, 3])
def test_it_equals_a_slow_sum_over_classes_layers_and_cells(
    batch: int, mode: str, pool: str, squared: bool
) -> None:
    schedule = NoiseSchedule(DiffusionConfig())
    x0, masks, noise = scenes(batch)
    x0_hat = (x0 + 0.3 * noise.flip(1)).clamp(-1, 1)
    weights = class_weight_map(masks, 5, 255, ClassAwareConfig(mode))  # type: ignore[arg-type]
    t = torch.tensor([400, 30, 800])[:batch]
    phi = SmallEncoder().requires_grad_(False)
    found = class_aware_self_perceptual(
        phi,
        x0,
        x0_hat,
        weights,
        t,
        noise,
        schedule,
        pool=pool,
        squared=squared,  # type: ignore[arg-type]
    )

    bar = torch.from_numpy(schedule.alphas_cumprod)[t].view(-1, 1, 1, 1).float()
    a_all = [f.double().numpy() for f in phi(bar.sqrt() * x0 + (1 - bar).sqrt() * noise, t)]
    b_all = [f.double().numpy() for f in phi(bar.sqrt() * x0_hat + (1 - bar).sqrt() * noise, t)]
    for i in range(batch):
        w, of_layers = weights[i].double().numpy(), []
        for a, b in zip(a_all, b_all, strict=True):
            channels, height, width = a[i].shape
            step = 16 // height
            power = [np.mean(a[i, c] ** 2) for c in range(channels)]
            pooled = np.zeros((height, width))
            for y, x in np.ndindex(height, width):
                cell = w[y * step : (y + 1) * step, x * step : (x + 1) * step]
                pooled[y, x] = cell.max() if pool == "max" else cell.mean()
            if squared:
                pooled = pooled**2
            pooled *= w.mean() / pooled.mean()
            total = 0.0
            for c, y, x in np.ndindex(channels, height, width):
                floor = 0.01 * np.mean(power)
                total += pooled[y, x] * (a[i, c, y, x] - b[i, c, y, x]) ** 2 / max(power[c], floor)
            of_layers.append(total / (channels * height * width))
        assert found[i].item() == pytest.approx(np.mean(of_layers), rel=1e-4)


def test_equal_images_cost_nothing_and_layers_count_alike() -> None:
    schedule = NoiseSchedule(DiffusionConfig())
    x0, masks, noise = scenes(3)
    weights = class_weight_map(masks, 5, 255, ClassAwareConfig())
    t = torch.tensor([10, 400, 800])
    phi = SmallEncoder().requires_grad_(False)

    def louder(x: Tensor, t: Tensor) -> list[Tensor]:
        first, *rest = phi(x, t)
        return [100 * first, *rest]

    def loss(encode: object, x0_hat: Tensor) -> Tensor:
        return class_aware_self_perceptual(encode, x0, x0_hat, weights, t, noise, schedule)  # type: ignore[arg-type]

    assert torch.equal(loss(phi, x0), torch.zeros(3))
    torch.testing.assert_close(loss(louder, -x0), loss(phi, -x0), rtol=1e-4, atol=0)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("t", [100, 500, 900])
def test_gradient_reaches_the_network_output_and_not_phi(t: int, prediction: str) -> None:
    """An untrained ε̂ puts nearly all of x̂_0 outside [-1, 1] at large t, where a clamp has no gradient."""
    schedule = NoiseSchedule(DiffusionConfig(prediction=prediction))  # type: ignore[arg-type]
    x0, masks, noise = scenes(3)
    weights = class_weight_map(masks, 5, 255, ClassAwareConfig())
    phi = SmallEncoder().requires_grad_(False)
    at = torch.full((3,), t)
    x_t = schedule.add_noise(x0, noise, at)
    output = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1)).requires_grad_()

    x0_hat = clamp_straight_through(schedule.x0_from(output, x_t, at))
    fresh = torch.randn(x0.shape, generator=torch.Generator().manual_seed(2))
    loss = class_aware_self_perceptual(
        phi, x0, x0_hat, weights, torch.tensor([50, 300, 700]), fresh, schedule
    )
    loss.mean().backward()

    assert output.grad is not None
    assert output.grad.isfinite().all()
    per_image = output.grad.flatten(1).norm(dim=1)
    assert (per_image > 1e-6).all()
    # Every pixel is seen, saturated or not.
    assert (output.grad != 0).float().mean() > 0.99
    assert all(parameter.grad is None for parameter in phi.parameters())


def test_the_target_side_carries_no_gradient() -> None:
    schedule = NoiseSchedule(DiffusionConfig())
    x0, masks, noise = scenes(1)
    weights = class_weight_map(masks, 5, 255, ClassAwareConfig())
    x0 = x0.requires_grad_()
    x0_hat = (0.5 * x0.detach()).requires_grad_()
    loss = class_aware_self_perceptual(
        SmallEncoder().requires_grad_(False), x0, x0_hat, weights, torch.tensor([200]), noise, schedule
    )
    loss.sum().backward()
    assert x0.grad is None
    assert x0_hat.grad is not None


def test_a_gradient_step_on_the_loss_brings_the_image_closer() -> None:
    schedule = NoiseSchedule(DiffusionConfig())
    x0, masks, noise = scenes(1)
    weights = class_weight_map(masks, 5, 255, ClassAwareConfig())
    phi, t = SmallEncoder().requires_grad_(False), torch.tensor([100])
    x0_hat = torch.zeros_like(x0).requires_grad_()
    optimiser = torch.optim.Adam([x0_hat], lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        class_aware_self_perceptual(phi, x0, x0_hat, weights, t, noise, schedule).sum().backward()
        optimiser.step()
    assert (x0_hat - x0).square().mean() < 0.3 * x0.square().mean()


def test_the_clamp_has_the_value_of_a_clamp_and_the_gradient_of_the_identity() -> None:
    x = torch.tensor([-50.0, -1.0, 0.3, 1.0, 7.0], requires_grad=True)
    clamped = clamp_straight_through(x)
    assert clamped.tolist() == x.detach().clamp(-1, 1).tolist()
    (clamped * torch.arange(1.0, 6.0)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 2, 3, 4, 5]
