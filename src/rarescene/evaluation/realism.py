"""Do synthetic images look like real ones? Fréchet and kernel distances of features, MS-SSIM and PSNR.

CASDM (Table 1) reports FID, MS-SSIM and PSNR, GAUDA (Section 8.6) FID and KID. FID and KID mean Inception,
whose weights are the user's to bring; without them the same distances are measured in the features of the
embedded EfficientNet-Lite0 and called FD-EffNetLite0 and KD-EffNetLite0. Scores of the two are not
comparable. MS-SSIM and PSNR are of a synthetic image and the real one of the same map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
)

from rarescene.evaluation.bootstrap import (
    Floats,
    Interval,
    few_recordings_note,
    percentile_interval,
    resample_counts,
    resampled_mean,
)
from rarescene.evaluation.config import BootstrapConfig, RealismConfig
from rarescene.evaluation.distances import Distance, Extractor, FeatureDistances, Inception
from rarescene.foundation.errors import DataError
from rarescene.networks import EffNetLite0

PSNR_CAP = 100.0
# Exponents of Wang et al., "Multiscale structural similarity", 2003. Images too small for five scales use the
# first three, scaled to the same sum.
FIVE_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
THREE_SCALES = (0.0711, 0.4530, 0.4760)
FIVE_SCALES_FROM = 176
THREE_SCALES_FROM = 32


@dataclass(frozen=True)
class PairedScore:
    """Mean over pairs of a synthetic and a real image of the same map, with an interval over recordings."""

    mean: float
    interval: Interval | None


def psnr(synthetic: Tensor, real: Tensor) -> Tensor:
    """Return 10 log10(peak² / MSE) in dB of each pair `(B, 3, H, W)` in [-1, 1], `(B,)`, at most 100.

    The peak is 2, the range of the images. The cap keeps the mean finite where a pair is equal.
    """
    synthetic, real = synthetic.clamp(-1, 1), real.clamp(-1, 1)
    ratio = peak_signal_noise_ratio(synthetic, real, data_range=2.0, reduction="none", dim=(1, 2, 3))
    return ratio.clamp(max=PSNR_CAP)


def ms_ssim_settings(images: Tensor) -> str | None:
    """Return in words the scales that suit images `(B, 3, H, W)`; None below 32 pixels."""
    side = min(images.shape[-2:])
    if side < THREE_SCALES_FROM:
        return None
    return f"{5 if side >= FIVE_SCALES_FROM else 3} scales, Gaussian window of 11 pixels"


def ms_ssim(synthetic: Tensor, real: Tensor) -> Tensor:
    """Return the MS-SSIM of each pair `(B, 3, H, W)` in [-1, 1], `(B,)`, 0 to 1.

    Five scales from 176 pixels on, three from 32 on: scores of different sizes are not comparable.
    """
    five = min(real.shape[-2:]) >= FIVE_SCALES_FROM
    return multiscale_structural_similarity_index_measure(
        (synthetic.clamp(-1, 1) + 1) / 2,  # the luminance term wants values from 0 on
        (real.clamp(-1, 1) + 1) / 2,
        data_range=1.0,
        betas=FIVE_SCALES if five else THREE_SCALES,
        # The library takes a Gaussian's window, 11, from its sigma; this number only passes its size check.
        kernel_size=11 if five else 5,
        reduction="none",
        normalize="relu",
    )


def paired_score(values: Floats, groups: Sequence[str] | None, config: BootstrapConfig) -> PairedScore | None:
    """Return the mean of `values` `(N,)` with an interval over their recordings; None if there are none."""
    if not len(values):
        return None
    interval = None
    if groups is not None and len(set(groups)) > 1:
        names, owner = np.unique(np.asarray(groups), return_inverse=True)
        means = resampled_mean(values, owner, resample_counts(len(names), config))
        interval = percentile_interval(means, config)
    return PairedScore(float(values.mean()), interval)


@dataclass(frozen=True)
class RealismScores:
    """How near synthetic images are to real ones; `notes` must be printed beside the numbers.

    Attributes:
        distances: one entry a network, the embedded one first.
        ms_ssim: multi-scale structural similarity, 0 to 1; None if unpaired or too small.
        ms_ssim_settings: the scales used, which depend on the size.
        psnr: peak signal-to-noise ratio in dB, at most 100 for each pair; None if unpaired.
        notes: what the numbers do not mean.
    """

    distances: tuple[Distance, ...]
    ms_ssim: PairedScore | None
    ms_ssim_settings: str | None
    psnr: PairedScore | None
    real_images: int
    synthetic_images: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def realism_scores(
    real: Iterable[Tensor],
    synthetic: Iterable[Tensor],
    *,
    config: RealismConfig | None = None,
    paired: bool = True,
    groups: Sequence[str] | None = None,
    device: torch.device | str = "cpu",
    extractors: Sequence[Extractor] | None = None,
    progress: Callable[[int], None] | None = None,
) -> RealismScores:
    """Compare synthetic with real images, batch by batch; only features are kept.

    Args:
        real: batches of real images, float `(B, 3, H, W)` in [-1, 1].
        synthetic: batches of synthetic images, likewise. If `paired`, image i is of the map of real image i,
            and batches have equal shapes.
        paired: whether MS-SSIM and PSNR make sense. If not, the sets may differ in number and size.
        groups: the recording of each pair, in order, for intervals over recordings. Without it none is given.
        extractors: networks to use instead of those of `config`.
        progress: called with the number of images done after each batch.

    Raises:
        DataError: pairs do not match, a pixel is not finite, or a set has fewer than two images.
    """
    config = config or RealismConfig()
    networks = _networks(config, device) if extractors is None else extractors
    metrics = [FeatureDistances(network, config) for network in networks]
    noise: list[Tensor] = []
    similarity: list[Tensor] = []
    seen = {"real": 0, "synthetic": 0}
    settings: set[str] = set()
    for real_batch, synthetic_batch in _together(real, synthetic, paired):
        sides = {"real": real_batch.to(device), "synthetic": synthetic_batch.to(device)}
        with torch.inference_mode():
            for side, images in sides.items():
                seen[side] += len(images)
                for metric in metrics if len(images) else ():
                    metric.update(images, real=side == "real")
            if paired:
                noise.append(psnr(sides["synthetic"], sides["real"]).cpu())
                scales = ms_ssim_settings(real_batch)
                if scales:
                    settings.add(scales)
                    similarity.append(ms_ssim(sides["synthetic"], sides["real"]).cpu())
        if progress:
            progress(len(real_batch) + len(synthetic_batch))
    if min(seen.values()) < 2:
        what = f"{seen['real']} real and {seen['synthetic']} synthetic images cannot be compared"
        raise DataError(what, "A distance between distributions needs at least two images of each.")
    if groups is not None and paired and len(groups) != seen["real"]:
        what = f"{seen['real']} pairs came with {len(groups)} recordings"
        raise DataError(what, "Name the recording of every pair.")

    noise_of_pairs = torch.cat([torch.empty(0), *noise]).double().numpy()
    similarity_of_pairs = torch.cat([torch.empty(0), *similarity]).double().numpy()
    return RealismScores(
        distances=tuple(metric.result() for metric in metrics),
        ms_ssim=paired_score(similarity_of_pairs, groups, config.bootstrap),
        ms_ssim_settings="; ".join(sorted(settings)) or None,
        psnr=paired_score(noise_of_pairs, groups, config.bootstrap),
        real_images=seen["real"],
        synthetic_images=seen["synthetic"],
        notes=_notes(networks, seen, noise_of_pairs, len(similarity_of_pairs), groups),
    )


def _networks(config: RealismConfig, device: torch.device | str) -> list[Extractor]:
    networks: list[Extractor] = [EffNetLite0(config.feature_size).to(device)]
    if config.inception_weights is not None:
        networks.append(Inception(config.inception_weights, device))
    return networks


def _together(
    real: Iterable[Tensor], synthetic: Iterable[Tensor], paired: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of both sets side by side, an empty one where a set has ended; pairs must match."""
    empty = torch.empty(0, 3, 32, 32)
    for index, (one, other) in enumerate(zip_longest(real, synthetic, fillvalue=empty)):
        if paired and one.shape != other.shape:
            what = f"batch {index} is {tuple(one.shape)} real and {tuple(other.shape)} synthetic"
            raise DataError(what, "Pairs need equal numbers and sizes; without pairs pass paired=False.")
        for images, side in ((one, "real"), (other, "synthetic")):
            if not torch.isfinite(images).all():
                what = f"batch {index} of the {side} images holds values that are not finite"
                raise DataError(what, "Look for NaN in the generator that made it, or leave the images out.")
        yield one, other


def _notes(
    networks: Sequence[Extractor],
    seen: Mapping[str, int],
    noise: Floats,
    similarities: int,
    groups: Sequence[str] | None,
) -> tuple[str, ...]:
    notes = []
    fewest, widest = min(seen.values()), max(network.num_features for network in networks)
    if fewest <= widest:
        what = f"With {fewest} images a Fréchet distance in {widest} dimensions is biased upwards"
        notes.append(f"{what}; compare only distances of equal counts.")
    if len(set(seen.values())) > 1:
        notes.append(f"{seen['real']} real images are compared with {seen['synthetic']} synthetic ones.")
    if not len(noise):
        return tuple(notes)
    equal = int((noise >= PSNR_CAP).sum())
    if equal:
        notes.append(f"{equal} synthetic images equal the real image of their map: are they copies?")
    if not similarities:
        notes.append(f"Below {THREE_SCALES_FROM} pixels there is no MS-SSIM.")
    if groups is None:
        notes.append("The recordings of the pairs are not known, so PSNR and MS-SSIM have no interval.")
    else:
        notes.extend(filter(None, [few_recordings_note(len(set(groups)))]))
    return tuple(notes)
