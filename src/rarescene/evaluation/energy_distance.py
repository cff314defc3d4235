"""How near a distribution of masks comes to another one: the generalised energy distance.

    D² = 2 E d(S, Y) - E d(S, S') - E d(Y, Y'),   d = 1 - IoU

S, S' are drawn from the segmenter, Y, Y' from the annotators (Kohl et al., 2018; Baumgartner et al., 2019). A
segmenter that always gives one mask loses the second term; one that gives each plausible mask as often as the
annotators do comes to 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rarescene.evaluation.bootstrap import Floats
from rarescene.evaluation.confusion import confusion_matrices, hits_and_totals, scores_of


def generalised_energy_distance(
    samples: Tensor,
    references: Tensor,
    classes: int,
    ignore_index: int = 255,
    counted: Sequence[int] | None = None,
) -> Floats:
    """Return the squared distance of each scene, `(B,)`.

    The distance of two masks is one minus the mean IoU over the classes that either shows, and 0 if neither
    shows any. Means run over all pairs, a mask with itself included, so that no distance is below 0.

    Args:
        samples: class ids `(M, B, H, W)`, drawn from the segmenter.
        references: class ids `(N, B, H, W)`, the annotators'.
        classes: the number of classes, C.
        ignore_index: pixels with this id in any reference of a scene are left out.
        counted: ids of the classes that count; all by default.

    Raises:
        DataError: shapes differ, or an id is that of no class.
    """
    ignored = (references == ignore_index).any(dim=0)  # (B, H, W)
    drawn, given = (
        [one.masked_fill(ignored, ignore_index) for one in masks] for masks in (samples, references)
    )
    chosen = list(range(classes) if counted is None else counted)

    def mean_distance(left: Sequence[Tensor], right: Sequence[Tensor]) -> Floats:
        return np.mean([_distance(a, b, classes, ignore_index, chosen) for a in left for b in right], axis=0)

    return 2 * mean_distance(drawn, given) - mean_distance(drawn, drawn) - mean_distance(given, given)


def _distance(left: Tensor, right: Tensor, classes: int, ignore_index: int, chosen: list[int]) -> Floats:
    confusion = confusion_matrices(torch.where(left == ignore_index, 0, left), right, classes, ignore_index)
    iou = scores_of(*hits_and_totals(confusion))[0][:, chosen]  # (B, classes), NaN where neither shows it
    shown = ~np.isnan(iou)
    return np.where(shown.any(axis=1), 1 - np.where(shown, iou, 0).sum(axis=1) / shown.sum(axis=1).clip(1), 0)
