"""The sieve: which pairs drawn in the course of a training enter it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from rarescene.augmentation.gauda_config import SievingConfig
from rarescene.augmentation.synthetic_batch import Stock
from rarescene.evaluation import pair_agreement, pair_iou
from rarescene.scenes import ClassTable, Request

Predict = Callable[[Tensor], Tensor]
Fate = Literal["kept", "request", "agreement"]


def sieve(
    stock: Stock,
    requests: Sequence[Request],
    targets: Sequence[int],
    predict: Predict | None,
    table: ClassTable,
    config: SievingConfig,
    block: int,
) -> list[Fate]:
    """Return of each pair whether it is kept, or what it is dropped for.

    Args:
        stock: the pairs.
        requests: what each was drawn from.
        targets: the class that each was drawn for. It does not count in the agreement: a class that the
            segmenter is uncertain of is the one that it sees worst.
        predict: the segmenter's class probabilities `(B, C, H, W)` of images; not called without a
            `min_agreement`.
        table: the classes.
        config: what is kept.
        block: images that are predicted at once.
    """
    fates: list[Fate] = ["kept"] * len(stock)
    for place, (mask, request, target) in enumerate(zip(stock.masks, requests, targets, strict=True)):
        if not _shows(mask, request, target, table, config):
            fates[place] = "request"
    left = [place for place, fate in enumerate(fates) if fate == "kept"]
    if config.min_agreement is None or predict is None or not left:
        return fates
    pairs = stock.take(left).pairs
    with torch.inference_mode():
        found = torch.cat([predict(part).argmax(1).cpu() for part in pairs.images.split(block)])  # B,H,W
    iou = pair_iou(found, pairs.masks, len(table), table.ignore_index)  # B,C
    iou[np.arange(len(left)), [targets[place] for place in left]] = np.nan
    for place, agreement in zip(left, pair_agreement(iou), strict=True):
        if agreement < config.min_agreement:  # NaN, a mask of the target alone, is kept
            fates[place] = "agreement"
    return fates


def _shows(mask: np.ndarray, request: Request, target: int, table: ClassTable, config: SievingConfig) -> bool:
    match config.request:
        case "no":
            return True
        case "target":
            return bool((mask == target).any())
        case "present":
            return request.kept_by(mask, table).present == 1
        case "kept":
            return request.kept_by(mask, table).kept
