"""Settings of the training loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from rarescene.foundation.configs import Count, Range, Settings, ShareBelowOne, Steps, StepsOrNone, Weight


@dataclass(frozen=True)
class TrainingConfig(Settings, section="training"):
    """Settings of the training loop.

    Attributes:
        steps: optimiser steps in all.
        batch_size: scenes a step, over all ranks and accumulation parts together.
        learning_rate: peak learning rate of AdamW.
        weight_decay: AdamW's decoupled weight decay.
        warmup_steps: steps over which the learning rate rises linearly from 0.
        decay: what the learning rate does after the warm-up: stay; fall to 0 along a cosine, a line or a
            power of what is left to do; or fall exponentially, by the same factor in every epoch.
        decay_power: p of the polynomial decay (1 − done)^p; GAUDA's latent diffusion has 0.2.
        decay_factor: share of the learning rate at which the exponential decay ends.
        betas: AdamW's decays of the gradient's mean and of its square's.
        gradient_clip: largest norm of the gradient; larger ones are scaled down. 0 for none.
        ema_decay: decay of the exponential moving average of the weights; 0 keeps the last weights instead.
        mixed_precision: numbers used in the forward pass, where the device has them: a processor without
            bfloat16 takes float32. Weights and optimiser stay in float32. "fp16" is for GPUs; on a processor
            it is computed as "no".
        accumulate: parts a batch is cut into where the device's memory is small; a loss that is a mean over
            scenes gives the same result.
        log_every: steps between two lines of the log.
        save_every: steps between two checkpoints.
        keep: how many checkpoints stay on disk.
        validate_every: steps between two validations, 0 for none.
        channels_last: memory layout of the convolutions.
        compile: run the network through torch.compile; pays for itself on a GPU over thousands of steps.
    """

    steps: Steps = 1000
    batch_size: Annotated[int, Range(1, 65_536)] = 16
    learning_rate: Annotated[float, Range(above=0, most=1000)] = 1e-4
    weight_decay: Weight = 0.0
    warmup_steps: StepsOrNone = 0
    decay: Literal["none", "cosine", "linear", "polynomial", "exponential"] = "none"
    decay_power: Annotated[float, Range(above=0, most=100)] = 0.2
    decay_factor: Annotated[float, Range(above=0, most=1)] = 0.01
    betas: tuple[ShareBelowOne, ShareBelowOne] = (0.9, 0.999)
    gradient_clip: Weight = 1.0
    ema_decay: ShareBelowOne = 0.999
    mixed_precision: Literal["no", "bf16", "fp16"] = "bf16"
    accumulate: Annotated[int, Range(1, 65_536)] = 1
    log_every: Steps = 20
    save_every: Steps = 500
    keep: Count = 2
    validate_every: StepsOrNone = 0
    channels_last: bool = True
    compile: bool = False
