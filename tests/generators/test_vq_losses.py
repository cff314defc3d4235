"""Each loss on cases worked by hand, and each gradient where it belongs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rarescene.generators.vq_losses import PerceptualDistance, adversarial_weight, frozen, hinge_loss


def test_hinge_loss_by_hand() -> None:
    real, drawn = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 1.0])
    assert hinge_loss(real, drawn).item() == pytest.approx(0.5 * ((0 + 0.5) / 2 + (0 + 2) / 2))
    assert hinge_loss(torch.zeros(3), torch.zeros(3)).item() == 1


def test_the_adversarial_weight_is_the_ratio_of_the_gradients_and_is_capped() -> None:
    last = nn.Parameter(torch.tensor([3.0, 4.0]))
    reconstruction, adversarial = (last * torch.tensor([6.0, 8.0])).sum(), 0.5 * last.square().sum()
    # ‖(6, 8)‖ / ‖(3, 4)‖
    assert adversarial_weight(reconstruction, adversarial, last, 1e4).item() == pytest.approx(2)
    assert adversarial_weight(reconstruction, adversarial, last, 1.5).item() == 1.5
    assert not adversarial_weight(reconstruction, adversarial, last, 1e4).requires_grad
    assert adversarial_weight(reconstruction, 0 * adversarial, last, 7.0).item() == 7
    assert last.grad is None


def test_a_frozen_network_passes_gradients_to_its_input_alone() -> None:
    torch.manual_seed(0)
    network, given = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), torch.randn(2, 3)
    through, straight = given.clone().requires_grad_(), given.clone().requires_grad_()
    frozen(network)(through).sum().backward()
    assert all(weight.grad is None for weight in network.parameters())
    network(straight).sum().backward()
    torch.testing.assert_close(through.grad, straight.grad)


def test_the_perceptual_distance_knows_equal_from_different() -> None:
    distance, generator = PerceptualDistance(32), torch.Generator().manual_seed(0)
    real = torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1
    drawn = (real + 0.1 * torch.randn(real.shape, generator=generator)).requires_grad_()
    real.requires_grad_()
    near, far = distance(drawn, real), distance(-real.detach(), real.detach())
    assert distance(real.detach(), real).tolist() == [0, 0]
    assert (near > 0).all()
    assert (near < far).all()
    assert (far <= 4).all()
    near.sum().backward()
    assert drawn.grad.abs().max() > 0
    assert real.grad is None
    assert all(weight.grad is None for weight in distance.network.parameters())
