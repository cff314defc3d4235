"""What a VQ-GAN is judged by beside the distance of pixels: frozen features, and a discriminator."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from rarescene.networks import EffNetLite0
from rarescene.training import mean_over_ranks

PERCEPTUAL_STAGES = 4  # maps at strides 2, 4, 8 and 16: what is beyond tells contents rather than looks


class PerceptualDistance:
    """How differently two images look to the embedded ImageNet network.

    At each pixel of each of the first four maps the features are scaled to unit length, as in LPIPS (Zhang et
    al. 2018), but without its learned weights; then the squared differences are averaged.

    It is no module: its frozen weights belong to no optimiser and to no checkpoint.

    Args:
        size: side in pixels at which the network looks at the images.
    """

    def __init__(self, size: int) -> None:
        self.network = EffNetLite0(size)

    def __call__(self, generated: Tensor, real: Tensor) -> Tensor:
        """Return the distance of each pair of images `(B, 3, H, W)` in [-1, 1], 0 to 4, float32 `(B,)`.

        The gradient flows to `generated` alone.
        """
        self.network.to(generated.device)
        with torch.autocast(generated.device.type, enabled=False):
            with torch.no_grad():
                targets = self.network.feature_maps(real.float(), PERCEPTUAL_STAGES)
            maps = self.network.feature_maps(generated.float(), PERCEPTUAL_STAGES)
            stages = [
                (F.normalize(one, dim=1) - F.normalize(other, dim=1)).square().sum(1).mean((1, 2))
                for one, other in zip(maps, targets, strict=True)
            ]
        return torch.stack(stages).mean(0)


def frozen(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the network as a function whose gradient flows to its input and never to its weights."""
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    return lambda pictures: functional_call(network, weights, (pictures,))


def hinge_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Return the discriminator's loss for logits of real and generated pictures: 1 if it knows nothing."""
    return 0.5 * (F.relu(1 - real.float()).mean() + F.relu(1 + generated.float()).mean())


def adversarial_weight(reconstruction: Tensor, adversarial: Tensor, last: nn.Parameter, cap: float) -> Tensor:
    """Return λ, by which both losses pull alike at the decoder's last layer (Esser et al. 2021, Eq. 7).

    Over ranks the gradients are averaged first, so that several processes follow one.

    Args:
        reconstruction: the reconstruction loss.
        adversarial: the generator's adversarial loss.
        last: the weight of the decoder's last layer.
        cap: the largest λ; without one, a discriminator that no longer minds would be listened to most.
    """
    pulls = [
        mean_over_ranks(torch.autograd.grad(loss, last, retain_graph=True)[0]).norm()
        for loss in (reconstruction, adversarial)
    ]
    # Eq. 7 of Esser et al.
    return (pulls[0] / (pulls[1] + 1e-6)).clamp(max=cap).detach()
