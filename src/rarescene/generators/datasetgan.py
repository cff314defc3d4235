"""DatasetGAN (Zhang et al. 2021), GAUDA's baseline (section 8.6): a GAN that labels what it generates.

StyleGAN2 learns to generate images, without labels (`stylegan2_training`). The latents of a few annotated
frames are found (`latent_encoder`), and classifiers learn to read the labels from the features there
(`label_branch`). Then every generated image comes with a mask. Nothing conditions it: for a request,
candidates are generated until one shows the classes asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rarescene.diffusion import SamplingConfig
from rarescene.foundation.protocols import Pairs
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.datasetgan_config import DatasetGanConfig
from rarescene.generators.label_branch import LabelEnsemble
from rarescene.generators.metadata import read_description, write_description
from rarescene.generators.stylegan2_training import standard_normal
from rarescene.networks import StyleGan2Generator
from rarescene.scenes import ClassTable, Request, cut_back
from rarescene.training import load_weights, save_tensors

IMAGES, LABELS = "stylegan2.safetensors", "labels.safetensors"


class DatasetGan:
    """A trained p(image, mask): generates pairs, and of several the one that suits a request.

    Args:
        network: the generator of images.
        labels: reads masks from its features.
        config: sizes and sampling.
        table: the classes of the masks.
    """

    name = "datasetgan"
    words = False  # of a request, the classes alone are supported

    def __init__(
        self, network: StyleGan2Generator, labels: LabelEnsemble, config: DatasetGanConfig, table: ClassTable
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.labels = labels.eval().requires_grad_(False)
        self.config, self.table = config, table

    def to(self, device: torch.device | str) -> DatasetGan:
        """Move the weights, and return the generator."""
        for network in (self.network, self.labels):
            network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    @torch.no_grad()
    def generate(
        self,
        requests: Sequence[Request],
        *,
        seeds: Sequence[int],
        progress: Callable[[int, int], None] | None = None,
    ) -> Pairs:
        """Generate a pair for each request.

        Up to `config.tries` candidates are generated for it, the first from its own seed; the first that
        shows all classes asked for is taken, else the one that shows most of them, the earlier of two.
        Numbers, places and shares are not listened to. An empty request takes the first.

        Args:
            requests: what the pairs must show.
            seeds: one a request; pair i depends on request i and seed i alone.
            progress: called with the requests met and the requests in all; the last call says all.

        Returns:
            Pairs; the confidence of a pixel is the classifiers' mean probability of its class.
        """
        best: dict[int, tuple[int, Pairs]] = {}
        unmet = list(range(len(requests)))
        for turn in range(self.config.tries):
            again = [derive_seed(seeds[place], "try", turn) if turn else seeds[place] for place in unmet]
            generated = self.generate_any(again)
            for row, place in enumerate(unmet):
                shown = set(generated.masks[row].unique().tolist()).intersection(requests[place].ids)
                if place not in best or len(shown) > best[place][0]:
                    best[place] = len(shown), _row(generated, row)
            unmet = [place for place in unmet if best[place][0] < len(requests[place].ids)]
            if progress:
                last = turn == self.config.tries - 1
                progress(len(requests) if last else len(requests) - len(unmet), len(requests))
            if not unmet:
                break
        return _joined([best[place][1] for place in range(len(requests))])

    def sampling(self, config: SamplingConfig) -> dict[str, Any]:
        """Return no options: `generate` has none. Raises `ConfigError` for any, but for the block."""
        return config.block_alone("DatasetGAN")

    @torch.no_grad()
    def generate_any(self, seeds: Sequence[int]) -> Pairs:
        """Generate a pair from each seed, whatever it shows; each alone, none knows its neighbours."""
        network = self.network
        generated = []
        for seed in seeds:
            z = standard_normal([seed], "latent", (network.config.latent,)).to(network.mean_w.device)
            # The truncation trick (Karras et al. 2019).
            w = network.mean_w + self.config.truncation * (network.mapping(z) - network.mean_w)
            generated.append(self.pairs_of(network.spread(w)))
        return _joined(generated)

    @torch.no_grad()
    def pairs_of(self, latents: Tensor) -> Pairs:
        """Return the pairs of latents w+ `(B, 2L, D)`."""
        images, features = self.network.synthesise(latents)
        confidence, masks = self.labels.maps(features, *self.network.size).max(dim=1)
        height, width = self.config.height, self.config.width
        return Pairs(*(cut_back(part, height, width) for part in (images.clamp(-1, 1), masks, confidence)))

    def save(self, folder: Path) -> None:
        """Write the weights (safetensors) and settings (JSON) to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(self.network.state_dict(), folder / IMAGES)
        save_tensors(self.labels.state_dict(), folder / LABELS)
        write_description(folder, self.name, self.config, self.table)

    @classmethod
    def load(cls, folder: Path) -> DatasetGan:
        """Read what `save` wrote.

        Raises:
            CheckpointError: a file is missing or damaged, or does not fit; it is named.
        """
        config, table, _ = read_description(folder, cls.name, DatasetGanConfig)
        network = StyleGan2Generator(config.network, config.height, config.width)
        labels = LabelEnsemble(network.feature_channels, len(table), config.labels)
        load_weights(network, folder / IMAGES)
        load_weights(labels, folder / LABELS)
        return cls(network, labels, config, table)


def _joined(parts: Sequence[Pairs]) -> Pairs:
    """Return several pairs as one batch."""
    sure = [pairs.confidence for pairs in parts if pairs.confidence is not None]
    return Pairs(
        torch.cat([pairs.images for pairs in parts]),
        torch.cat([pairs.masks for pairs in parts]),
        torch.cat(sure) if sure else None,
    )


def _row(pairs: Pairs, index: int) -> Pairs:
    """Return one pair of a batch."""
    here = slice(index, index + 1)
    return Pairs(
        pairs.images[here], pairs.masks[here], None if pairs.confidence is None else pairs.confidence[here]
    )
