"""Does a segmenter trained on real scenes see in a synthetic image what its mask says? IoU, pair by pair.

Low agreement has two causes, which no figure here tells apart: the image does not show what the mask says, or
it does and the segmenter misses it, as it may miss that class in real frames too. Read the agreement of a
class beside the same figure on real frames that the segmenter never saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from rarescene.evaluation.bootstrap import Floats, mean_of_known
from rarescene.evaluation.confusion import confusion_matrices, hits_and_totals, scores_in_reference

if TYPE_CHECKING:
    from torch import Tensor


def pair_iou(
    predictions: Tensor | ArrayLike, masks: Tensor | ArrayLike, classes: int, ignore_index: int
) -> Floats:
    """Return the IoU of each class in each pair, `(B, C)`; NaN for a class that the mask does not show.

    A class that is predicted and not in the mask has no IoU of its own; the classes that it covers lose.

    Args:
        predictions: class ids `(B, H, W)`, predicted on the synthetic images.
        masks: class ids `(B, H, W)` of the pairs; pixels with `ignore_index` are left out.
        classes: the number of classes, C.
        ignore_index: the id of unlabelled pixels.

    Raises:
        DataError: shapes differ, or an id is not of these classes.
    """
    confusion = confusion_matrices(predictions, masks, classes, ignore_index)
    return scores_in_reference(*hits_and_totals(confusion))[0]


def pair_agreement(iou: Floats, classes: Sequence[int] | None = None) -> Floats:
    """Return each pair's mean IoU over the classes that it shows, `(B,)`; NaN where it shows none.

    Args:
        iou: what `pair_iou` returned, `(B, C)`.
        classes: ids of the classes that count; all of them by default.
    """
    return mean_of_known(iou if classes is None else iou[:, list(classes)])


def class_agreement(iou: Floats) -> Floats:
    """Return each class's mean IoU over the pairs that show it, `(C,)`; NaN where none does."""
    return mean_of_known(np.asarray(iou).T)
