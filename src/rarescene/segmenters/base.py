"""What every segmentation network of one answer shares: padding, normalisation, loss and prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SegmentationNetwork(nn.Module, ABC):
    """A `Segmenter` over any network of logits; a variant gives `logits`, and may have a `loss` of its own.

    Images of any height and width are taken: they are padded to a multiple of `stride` by repeating their
    last row and column, and the answer is cut back.

    Args:
        config: the network's configuration.
        classes: number of classes C.
        ignore_index: id of the pixels that are not labelled.
        dice: weight of the soft Dice term beside the cross entropy in `loss`.
    """

    stride: int

    def __init__(self, config: Any, classes: int, ignore_index: int = 255, dice: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.classes = classes
        self.ignore_index = ignore_index
        self.dice = dice
        # Mean and deviation of natural images, moved from [0, 1] to the [-1, 1] of our images.
        self.register_buffer(
            "mean", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1), persistent=False
        )
        self.register_buffer(
            "deviation", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1), persistent=False
        )
        self.mean: Tensor
        self.deviation: Tensor

    @property
    def backbone(self) -> nn.Module | None:
        """The part that was learned on other pictures, if the options name such weights; it learns slowly."""
        return None

    def take_pretrained(self) -> None:
        """Take up the weights that were learned on other pictures, if the options name such.

        A network is made with random weights. This is called before it is trained, and never when a trained
        one is loaded, whose own file has all of them.
        """

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """Return logits `(B, C, H, W)` of normalised images `(B, 3, H, W)` whose sides `stride` divides."""

    def scores(self, images: Tensor) -> Tensor:
        """Return float32 logits `(B, C, H, W)` of images `(B, 3, H, W)` in [-1, 1], of any size."""
        height, width = images.shape[-2:]
        return self.logits(self.prepare(images))[..., :height, :width].float()

    def prepare(self, images: Tensor) -> Tensor:
        """Return images normalised, and padded below and at the right to a multiple of `stride`."""
        height, width = images.shape[-2:]
        images = (images - self.mean) / self.deviation
        padding = (0, -width % self.stride, 0, -height % self.stride)
        return F.pad(images, padding, mode="replicate")

    def loss(self, images: Tensor, masks: Tensor) -> Tensor:
        """Return cross entropy plus `dice` times the soft Dice loss, over the labelled pixels alone.

        Args:
            images: float32 `(B, 3, H, W)` in [-1, 1].
            masks: int64 `(B, H, W)` of class ids, the ignore index where unlabelled.
        """
        scores = self.scores(images)
        loss = cross_entropy(scores, masks, self.ignore_index)
        if self.dice:
            loss = loss + self.dice * soft_dice(scores, masks, self.ignore_index)
        return loss

    def terms(self, images: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Return the loss, called `loss`, beside what else of a step is worth a line in the log."""
        return {"loss": self.loss(images, masks)}

    def forward(self, images: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Return `terms`: data-parallel wrappers synchronise gradients only of what `forward` computes."""
        return self.terms(images, masks)

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Return class probabilities `(B, C, H, W)`, float32, always those of the evaluation mode."""
        with evaluating(self):
            return self.scores(images).softmax(dim=1)

    @staticmethod
    def name_in_file(name: str) -> str:
        """Return the name of a weight on disk, where versions of a library call it differently."""
        return name


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Switch a network to evaluation, and each of its modules back to the mode it was in."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def cross_entropy(logits: Tensor, masks: Tensor, ignore_index: int) -> Tensor:
    """Return the mean cross entropy over the labelled pixels of a batch.

    Args:
        logits: `(B, C, H, W)`.
        masks: int64 `(B, H, W)` of class ids, `ignore_index` where unlabelled.
        ignore_index: id of the pixels that count for nothing.

    Returns:
        A scalar; 0, with a zero gradient, where no pixel is labelled (a plain mean would be NaN).
    """
    labelled = (masks != ignore_index).sum()
    return F.cross_entropy(logits, masks, ignore_index=ignore_index, reduction="sum") / labelled.clamp(min=1)


def soft_dice(logits: Tensor, masks: Tensor, ignore_index: int, smooth: float = 1.0) -> Tensor:
    """Return one minus the soft Dice coefficient, averaged over the classes labelled in the batch.

    Per class c, over the labelled pixels p of the whole batch, with probabilities q and labels y:

        1 - (2 Σ_p q_pc y_pc + smooth) / (Σ_p q_pc + Σ_p y_pc + smooth)

    A class that no pixel of the batch shows is left out: there, the term would reward only the suppression of
    the class. The cross entropy already punishes its false alarms.

    Args and shapes are those of `cross_entropy`; `smooth` is counted in pixels. Without a labelled pixel the
    loss is 0 with a zero gradient.
    """
    labelled = (masks != ignore_index)[:, None]  # (B, 1, H, W)
    labels = F.one_hot(masks.masked_fill(~labelled[:, 0], 0), logits.shape[1])  # (B, H, W, C)
    labels = labels.permute(0, 3, 1, 2) * labelled  # (B, C, H, W), zero where ignored
    probabilities = logits.softmax(dim=1) * labelled  # (B, C, H, W), zero where ignored

    both = (probabilities * labels).sum(dim=(0, 2, 3))  # (C,)
    truth = labels.sum(dim=(0, 2, 3))  # (C,)
    dice = (2 * both + smooth) / (probabilities.sum(dim=(0, 2, 3)) + truth + smooth)
    present = truth > 0
    return ((1 - dice) * present).sum() / present.sum().clamp(min=1)
