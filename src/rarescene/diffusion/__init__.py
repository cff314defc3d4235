"""Diffusion without a network: noise schedule, class-aware losses, samplers. It takes callables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

if TYPE_CHECKING:
    from rarescene.diffusion.config import ClassAwareConfig as ClassAwareConfig
    from rarescene.diffusion.config import DiffusionConfig as DiffusionConfig
    from rarescene.diffusion.config import SamplingConfig as SamplingConfig
    from rarescene.diffusion.config import SelfPerceptualConfig as SelfPerceptualConfig
    from rarescene.diffusion.guidance import guided as guided
    from rarescene.diffusion.losses import clamp_straight_through as clamp_straight_through
    from rarescene.diffusion.losses import class_aware_mse as class_aware_mse
    from rarescene.diffusion.losses import class_aware_self_perceptual as class_aware_self_perceptual
    from rarescene.diffusion.losses import class_weight_map as class_weight_map
    from rarescene.diffusion.losses import gradient_norms as gradient_norms
    from rarescene.diffusion.losses import pool_weights as pool_weights
    from rarescene.diffusion.sampling import SAMPLERS as SAMPLERS
    from rarescene.diffusion.sampling import Denoiser as Denoiser
    from rarescene.diffusion.sampling import sample as sample
    from rarescene.diffusion.sampling import sampling_timesteps as sampling_timesteps
    from rarescene.diffusion.schedule import NoiseSchedule as NoiseSchedule
    from rarescene.diffusion.variational import (
        discretised_log_likelihood as discretised_log_likelihood,
    )
    from rarescene.diffusion.variational import variational_bound as variational_bound

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "SAMPLERS": "sampling",
        "ClassAwareConfig": "config",
        "Denoiser": "sampling",
        "DiffusionConfig": "config",
        "NoiseSchedule": "schedule",
        "SamplingConfig": "config",
        "SelfPerceptualConfig": "config",
        "clamp_straight_through": "losses",
        "class_aware_mse": "losses",
        "class_aware_self_perceptual": "losses",
        "class_weight_map": "losses",
        "discretised_log_likelihood": "variational",
        "gradient_norms": "losses",
        "guided": "guidance",
        "pool_weights": "losses",
        "sample": "sampling",
        "sampling_timesteps": "sampling",
        "variational_bound": "variational",
    },
)
