"""The trainings that segmenters start from: a warm-up and a cosine from scratch, or the GAUDA paper's."""

from __future__ import annotations

from rarescene.training.config import TrainingConfig

FROM_SCRATCH = TrainingConfig(
    steps=1500, weight_decay=0.01, warmup_steps=40, decay="cosine", ema_decay=0.99, validate_every=250
)
"""A linear warm-up, then a cosine to zero."""

AS_IN_GAUDA = TrainingConfig(batch_size=100, learning_rate=1e-3, ema_decay=0.99, validate_every=200)
"""The constant rate of section 4.2 of GAUDA, whose text has lost it; 1e-3 is that of PHiSeg's authors."""

PRETRAINED_RATE = 0.1
"""Factor on the learning rate of a backbone that has learned before (section 4.1 of Mask2Former)."""
