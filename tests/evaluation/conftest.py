"""What the tests of metrics share."""

from __future__ import annotations

from torch import Tensor

from rarescene.foundation.protocols import Predicted


def given(probabilities: Tensor, masks: Tensor, posterior: Tensor | None = None) -> Predicted:
    """Return probabilities `(B, C, H, W)` beside their labels `(B, H, W)`, all of one recording."""
    return Predicted(probabilities, masks, ["video"] * len(masks), posterior, masks)
