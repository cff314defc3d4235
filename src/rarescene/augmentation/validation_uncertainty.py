"""What a segmenter is uncertain of, class by class, at a validation (GAUDA, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rarescene.evaluation import UncertaintyMeter
from rarescene.evaluation.uncertainty import Measure
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.protocols import Batch, BayesianSegmenter, Segmenter
from rarescene.scenes import ClassTable


def class_uncertainties(
    segmenter: Segmenter,
    validation: Sequence[Batch],
    table: ClassTable,
    samples: int,
    measure: Measure,
    seed: int,
) -> tuple[float | None, ...]:
    """Return the uncertainty of each class; None for one that is neither predicted nor labelled.

    A posterior that samples from torch's own generator, such as one by dropout, follows `seed`; the
    loop's random numbers stay as they were. PHiSeg has noise of its own, the same at every refresh, and an
    ensemble has none.

    Args:
        segmenter: a Bayesian one.
        validation: scenes, on the segmenter's device.
        table: the classes.
        samples: posterior samples of each scene, M.
        measure: "variance" (Eq. 8) or "mutual_information".
        seed: of torch's generator meanwhile.

    Raises:
        ConfigError: the segmenter has no posterior, or there is no validation scene.
    """
    if not isinstance(segmenter, BayesianSegmenter):
        raise ConfigError(
            f"{type(segmenter).__name__} gives one answer and no posterior, which tells no uncertainty",
            "Train a Bayesian segmenter (phiseg, unet-ensemble), or take a strategy without uncertainty.",
        )
    if not validation:
        raise ConfigError(
            "there is no validation scene to measure uncertainty on",
            "Choose a split with validation recordings, and validate during the training.",
        )
    meter = UncertaintyMeter(len(table), table.ignore_index, measure=measure)
    device = validation[0].images.device
    with torch.inference_mode(), torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for batch in validation:
            meter.update(segmenter.posterior(batch.images, samples), batch.masks)  # (M, B, C, H, W)
    return meter.result().values
