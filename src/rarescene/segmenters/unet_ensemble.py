"""A deep ensemble (Lakshminarayanan et al., 2017) of U-Nets: the members' disagreement is the uncertainty."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rarescene.foundation.errors import DataError
from rarescene.segmenters.base import SegmentationNetwork, evaluating
from rarescene.segmenters.unet import UNet
from rarescene.segmenters.unet_ensemble_config import UNetEnsembleConfig


class UNetEnsemble(SegmentationNetwork):
    """Whole U-Nets, each with weights of its own, trained on scenes in an order of its own.

    A posterior sample is the answer of one member, and a prediction the mean of all (GAUDA, Eq. 7).
    """

    config: UNetEnsembleConfig

    def __init__(self, config: UNetEnsembleConfig, classes: int, ignore_index: int = 255) -> None:
        super().__init__(config, classes, ignore_index, config.dice)
        self.networks = nn.ModuleList(
            UNet(config.member, classes, ignore_index) for _ in range(config.members)
        )
        self.stride = 2 ** (len(config.widths) - 1)

    @property
    def members(self) -> int:
        """How many U-Nets there are."""
        return len(self.networks)

    @property
    def prediction_samples(self) -> int:
        """How many posterior samples a prediction is the mean of."""
        return self.members

    def loss(self, images: Tensor, masks: Tensor) -> Tensor:
        """Return the mean of the members' losses, of which each member's gradient is its own.

        Args:
            images: float32 `(M·B, 3, H, W)` in [-1, 1]; member m takes the scenes m·B to (m+1)·B.
            masks: int64 `(M·B, H, W)` of class ids, the ignore index where unlabelled.

        Raises:
            DataError: the scenes cannot be dealt evenly.
        """
        if len(images) % self.members:
            remedy = f"Give a multiple of {self.members} scenes; each member takes its own share of them."
            raise DataError(f"{len(images)} scenes cannot be dealt evenly to {self.members} members", remedy)
        deals = zip(images.chunk(self.members), masks.chunk(self.members), strict=True)
        losses = [
            network.loss(*deal)  # type: ignore[operator]
            for network, deal in zip(self.networks, deals, strict=True)
        ]
        return torch.stack(losses).mean()

    @torch.no_grad()
    def posterior(self, images: Tensor, samples: int | None = None) -> Tensor:
        """Return the class probabilities of the members, one after another, float32 `(M, B, C, H, W)`.

        Args:
            images: float32 `(B, 3, H, W)` in [-1, 1].
            samples: how many members answer, the first ones; by default all. There are no more samples than
                members, however many are asked for.
        """
        with evaluating(self):
            chosen = list(self.networks)[:samples]
            return torch.stack([network.scores(images).softmax(dim=1) for network in chosen])  # type: ignore[operator]

    def logits(self, images: Tensor) -> Tensor:
        """Return the logarithm of the members' mean probability, `(B, C, H, W)`."""
        answers = [network.logits(images).float().log_softmax(dim=1) for network in self.networks]  # type: ignore[operator]
        return torch.logsumexp(torch.stack(answers), dim=0)
