"""Segmentation losses on labelled pixels alone."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


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
