"""Settings of the diffusion process, its losses and its samplers. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rarescene.foundation.configs import (
    Block,
    Guidance,
    Positive,
    Range,
    Settings,
    Share,
    Steps,
    StepsOrNone,
    Weight,
)
from rarescene.foundation.errors import ConfigError

Prediction = Literal["epsilon", "v", "x0"]
Schedule = Literal["linear", "cosine"]
WeightMode = Literal["balanced", "paper", "plain"]
Pooling = Literal["max", "area"]
Sampler = Literal["dpm-solver++", "ddpm", "ddim", "unipc"]
Precision = Literal["no", "bf16"]

MOST_LEFT = 0.01
"""ᾱ_T, the signal's share of the power at the last timestep, must not be larger; the paper's is 4e-5."""


@dataclass(frozen=True)
class DiffusionConfig(Settings, section="diffusion"):
    """The forward process q(x_t | x_0) and what the network predicts (CASDM section 2).

    Attributes:
        timesteps: length T of the Markov chain.
        schedule: how β grows. `linear`, as in the paper; or `cosine`, of Nichol & Dhariwal 2021, which keeps
            more of the picture for longer: of the linear one's steps, half have a signal of less than a tenth
            of the noise's power, and a small image is all noise long before.
        beta_start: β of the first timestep of `linear`.
        beta_end: β of its last timestep.
        prediction: `epsilon`, the noise, as in the paper; or `v` = √ᾱ ε − √(1−ᾱ) x_0, which short trainings
            need: an error of ε̂ at the last timestep is multiplied by √(1−ᾱ)/√ᾱ ≈ 157 in x̂_0; or `x0`
            itself, which suits maps: a narrow network need not carry the noise of every pixel to its output.
    """

    timesteps: Annotated[int, Range(1, 100_000)] = 1000
    beta_start: Annotated[float, Range(above=0, below=1)] = 1e-4
    beta_end: Annotated[float, Range(above=0, below=1)] = 0.02
    prediction: Prediction = "epsilon"
    schedule: Schedule = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta_start > self.beta_end:
            raise ConfigError(
                f"diffusion.beta_start {self.beta_start} and beta_end {self.beta_end} are no noise schedule",
                "Keep beta_start <= beta_end; the paper takes 1e-4 and 0.02.",
            )
        left = float(np.prod(1 - self.betas))
        if left > MOST_LEFT:
            raise ConfigError(
                f"after all {self.timesteps} diffusion.timesteps {left:.0%} of the signal's power is left, "
                "and sampling begins without any",
                f"Raise diffusion.beta_end or diffusion.timesteps until at most {MOST_LEFT:.0%} is left; "
                "the paper takes 1000 timesteps up to 0.02.",
            )

    @property
    def betas(self) -> NDArray[np.float64]:
        """β of every timestep, float64 `(T,)`."""
        if self.schedule == "linear":
            return np.linspace(self.beta_start, self.beta_end, self.timesteps, dtype=np.float64)
        # Nichol & Dhariwal 2021, Eq. 17: ᾱ from t = 0 on. The last β would be 1, which nothing can undo.
        progress = np.arange(self.timesteps + 1) / self.timesteps
        bars = np.cos((progress + 0.008) / 1.008 * np.pi / 2) ** 2
        return np.minimum(1 - bars[1:] / bars[:-1], 0.999)


@dataclass(frozen=True)
class ClassAwareConfig(Settings, section="class_aware"):
    """How much each class counts in the class-aware losses (CASDM Eq. 6, 7).

    Attributes:
        mode: `balanced`: Eq. 7 as a map of mean 1 per image, so that the loss is the mean of the classes'
            MSEs; `paper`: the same map at the scale of Eq. 7, whose size falls with the rarest class;
            `plain`: MSE.
        exponent: e in w_c ∝ (HW/n_c)^e. 1 is the paper, 0 is plain, between them lies a softer balance.
        cap: the greatest weight of a pixel, in units of its image's mean weight; None for no cap.
        plain_share: share of plain MSE blended into the map, 0 to 1.
        class_boost: extra factor on w_c for classes by name, for instance `{cystic duct: 2}`.
    """

    mode: WeightMode = "balanced"
    exponent: Annotated[float, Range(0, 10)] = 1.0
    cap: Annotated[float, Range(1, 1e6)] | None = None
    plain_share: Share = 0.0
    class_boost: Mapping[str, Positive] = field(default_factory=dict)


@dataclass(frozen=True)
class SelfPerceptualConfig(Settings, section="self_perceptual"):
    """The class-aware self-perceptual loss (CASDM Eq. 8): its share and its frozen encoder Φ.

    The paper gives no λ, no start and no t′. Its public code has λ = 1; the configurations that ship have
    0.5, with which both gradients are of one order.

    Attributes:
        weight: λ in L_CAMSE + λ L_CASP; 0 switches the loss off.
        warmup_steps: training steps before the loss sets in, with a snapshot of Φ; by default 30 % of all.
        refresh_every: training steps between snapshots of Φ.
        noise_share: t′, at whose noise Φ looks at both images, is drawn from this share of the timesteps, the
            least noisy ones. Beyond, Φ sees noise alone: of a network's error, its features at t′ = 500 show
            a hundredth of what they show at 0.
        pool: how the weight map shrinks to a feature map: `max` keeps a one-pixel class, `area` averages.
        squared: False: the pooled weight multiplies the squared difference, as in Eq. 6; True: it stands
            inside the norm as Eq. 8 prints it, so that it counts squared and the rarest class takes nearly
            all of the loss.
    """

    weight: Weight = 0.0
    warmup_steps: StepsOrNone | None = None
    refresh_every: Steps = 1000
    noise_share: Annotated[float, Range(above=0, most=1)] = 0.3
    pool: Pooling = "max"
    squared: bool = False


@dataclass(frozen=True)
class SamplingConfig(Settings, section="sampling"):
    """How images or pairs are sampled.

    Attributes:
        sampler: `dpm-solver++` (2M, CASDM's), `unipc`, `ddim` (η = 0) or `ddpm` (ancestral).
        steps: denoising steps, at most the timesteps of the generator's noise schedule; by default 30 for an
            image generator, as in CASDM, and 20 for a joint one. Give `ddpm` all of them.
        guidance: scale of classifier-free guidance, for SDM and joint generators, by default the one in their
            configuration; and for a CASDM that was trained with `map_dropout`, by default 1, none.
        precision: "no" for float32, or "bf16".
        block: scenes generated at once; part of what makes two sets equal to the byte.
    """

    sampler: Sampler = "dpm-solver++"
    steps: Annotated[int, Range(1, 100_000)] | None = None
    guidance: Guidance | None = None
    precision: Precision = "no"
    block: Block = 8

    def settled(self, steps: int) -> dict[str, Any]:
        """Return what a diffusion model's `generate` is told; by default it takes this number of steps."""
        return {
            "sampler": self.sampler, "steps": self.steps or steps, "guidance": self.guidance,
            "precision": self.precision,
        }  # fmt: skip

    def block_alone(self, title: str) -> dict[str, Any]:
        """Return no options, for a generator that takes none.

        Raises:
            ConfigError: one is set, other than the block.
        """
        usual = asdict(SamplingConfig())
        chosen = [name for name, value in asdict(self).items() if value != usual[name] and name != "block"]
        if chosen:
            options = ", ".join(f"sampling.{name}" for name in chosen)
            remedy = f"Leave {options} out; sampling.block alone can be chosen."
            raise ConfigError(f"{title} generates in one step, and knows no guidance", remedy)
        return {}


@dataclass(frozen=True)
class InsertionConfig(Settings, section="insertion"):
    """How a region is drawn into a real frame.

    Attributes:
        margin: pixels around the region in which the frame changes over to what is drawn; beyond them it
            stays as it was.
        emphasis: s in ε_before + s (ε_composed − ε_before), where the first is told the frame's own mask and
            the second the mask with the region in it. 1 is none, and twice as fast; more draws the class more
            plainly.
        whole: draw all of the scene for the composed mask, instead of the region alone.
    """

    margin: Annotated[int, Range(0, 256)] = 2
    emphasis: Guidance = 1.5
    whole: bool = False


@dataclass(frozen=True)
class MapSamplingConfig(Settings, section="map_sampling"):
    """How maps are sampled.

    Attributes:
        sampler: as of images.
        steps: denoising steps, at most the timesteps of the generator's noise schedule.
        guidance: scale of classifier-free guidance; 1 is none, and twice as fast.
        tries: maps generated for a request at most, until one keeps it.
        precision: "no" for float32, or "bf16".
        block: maps generated at once; part of what makes two sets equal to the byte.
    """

    sampler: Sampler = "dpm-solver++"
    steps: Annotated[int, Range(1, 100_000)] = 30
    guidance: Guidance = 2.0
    tries: Annotated[int, Range(1, 10_000)] = 8
    precision: Precision = "no"
    block: Block = 8
