"""Diffusion without a network: noise schedule, class-aware losses, samplers. It takes callables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.diffusion.config import (
        ClassAwareConfig,
        DiffusionConfig,
        InsertionConfig,
        MapSamplingConfig,
        SamplingConfig,
        SelfPerceptualConfig,
    )
    from rarescene.diffusion.guidance import guided
    from rarescene.diffusion.losses import (
        clamp_straight_through,
        class_aware_mse,
        class_aware_self_perceptual,
        class_weight_map,
        gradient_norms,
        pool_weights,
    )
    from rarescene.diffusion.sampling import SAMPLERS, Denoiser, Known, sample, sampling_timesteps
    from rarescene.diffusion.schedule import NoiseSchedule
    from rarescene.diffusion.variational import discretised_log_likelihood, variational_bound

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
