"""Do synthetic images look like real ones? Fréchet and kernel distances of features, MS-SSIM and PSNR.

CASDM (Table 1) reports FID, MS-SSIM and PSNR, GAUDA (Section 8.6) FID and KID. FID and KID mean Inception,
whose weights are the user's to bring; without them the same distances are measured in the features of the
embedded EfficientNet-Lite0 and called FD-EffNetLite0 and KD-EffNetLite0. Figures of the two are not
comparable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from rarescene.evaluation.bootstrap import Floats, few_recordings_note
from rarescene.evaluation.config import RealismConfig
from rarescene.evaluation.distances import Distance, Extractor, FeatureDistances
from rarescene.evaluation.inception import Inception
from rarescene.evaluation.similarity import (
    PSNR_CAP,
    THREE_SCALES_FROM,
    PairedScore,
    ms_ssim,
    ms_ssim_settings,
    paired_score,
    psnr,
)
from rarescene.foundation.errors import DataError
from rarescene.networks import EffNetLite0


@dataclass(frozen=True)
class RealismScores:
    """How near synthetic images are to real ones; `notes` must be printed beside the figures.

    Attributes:
        distances: one entry a network, the embedded one first.
        ms_ssim: multi-scale structural similarity, 0 to 1; None if unpaired or too small.
        ms_ssim_settings: the scales used, which depend on the size.
        psnr: peak signal-to-noise ratio in dB, at most 100 for each pair; None if unpaired.
        real_images: number of real images.
        synthetic_images: number of synthetic images.
        notes: what the figures do not mean.
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
        config: sizes, Inception weights, intervals.
        paired: whether MS-SSIM and PSNR make sense. If not, the sets may differ in number and size.
        groups: the recording of each pair, in order, for intervals over recordings. Without it none is given.
        device: where features and similarities are computed.
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
                raise DataError(what, "Look for NaN in the generator that drew it, or leave the images out.")
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
        notes.append(f"{what}; compare only figures of equal counts.")
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
