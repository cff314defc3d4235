"""Where pairs come from: joint diffusion, DatasetGAN, or an image generator for masks, given or sampled.

A pair is a function of what is wanted and of its seed alone. Work is cut into blocks, here and nowhere else,
and the last one is padded, so that a pair is the same to the byte, however many are made with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

import numpy as np

from rarescene.diffusion import MapSamplingConfig, SamplingConfig
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.protocols import Pairs
from rarescene.foundation.provenance import Provenance
from rarescene.foundation.run_record import read_record
from rarescene.scenes import ClassRequest, ClassTable, Request, RequestPool
from rarescene.sources.mask_source import (
    Details,
    MasksOfData,
    MaskSource,
    Progress,
    SampledMaps,
    Wanted,
    generator_of,
    need_finite,
    need_same_classes,
    weights_hash,
)
from rarescene.sources.requests import RequestSeries, read_pool

if TYPE_CHECKING:
    import torch

    from rarescene.generators import ImageDiffusion


class PairSource(ABC, Generic[Wanted]):
    """Makes a pair for each of what is wanted: for requests, or for places in a series.

    Args:
        generator: a trained p(image, mask | request) or p(image | mask).
        sampling: how it samples.
        pool: the requests of its training masks; empty where masks are given.
        provenance: where its pairs come from, to be known before they may join real data.
        weights: a hash of its weights.

    Attributes:
        name: of the generator, as in run records.
        table: its classes.
        height: of the pairs, in pixels.
        width: likewise.
        words: whether numbers of pieces and places in a request are supported, or its classes alone.
        block: pairs made at once.
        made_by: what a set's header says of it; a set is resumed with the same only.

    Raises:
        ConfigError: the options do not fit the generator.
    """

    def __init__(
        self,
        generator: Any,
        sampling: SamplingConfig,
        pool: RequestPool,
        provenance: Provenance,
        weights: str,
    ) -> None:
        self.generator, self.options = generator, generator.sampling(sampling)
        self.name: str = generator.name
        self.table: ClassTable = generator.table
        self.height: int = generator.config.height
        self.width: int = generator.config.width
        self.words: bool = getattr(generator, "words", True)  # an image generator leaves them to its masks
        self.pool, self.block, self.provenance = pool, sampling.block, provenance
        self.made_by: Mapping[str, Any] = {
            "generator": self.name, "weights": weights, "sampling": {**self.options, "block": self.block}
        }  # fmt: skip

    @abstractmethod
    def sample_block(
        self, wanted: Sequence[Wanted], seeds: Sequence[int], progress: Progress | None = None
    ) -> tuple[Pairs, list[Details]]:
        """Return the pairs of one whole block, and what a manifest says of each."""

    def sample(
        self, wanted: Sequence[Wanted], seeds: Sequence[int], progress: Progress | None = None
    ) -> tuple[Pairs, list[Details]]:
        """Make a pair for each of what is wanted, whether it keeps its request or not.

        Prompted maps are not always the same to the byte: those that break their requests are generated again
        in smaller batches, whose size may change how floats are rounded.

        Args:
            wanted: one or more.
            seeds: one for each; pair i depends on what is wanted and on seed i alone.
            progress: called after each denoising step, with those done of a block and all of them.

        Returns:
            The pairs, on the CPU, and what a manifest says of each.

        Raises:
            CheckpointError: the generator drew what is not finite.
        """
        blocks: list[Pairs] = []
        details: list[Details] = []
        for start in range(0, len(wanted), self.block):
            here = slice(start, start + self.block)
            these, theirs = list(wanted[here]), list(seeds[here])
            lacking = self.block - len(these)
            pairs, told = self.sample_block(
                these + these[-1:] * lacking, theirs + theirs[-1:] * lacking, progress
            )
            blocks.append(_first(pairs, len(these)))
            need_finite(self.name, blocks[-1].images, blocks[-1].confidence)
            details += told[: len(these)]
        return _joined(blocks), details

    def generate(
        self, wanted: Sequence[Wanted], seeds: Sequence[int], progress: Progress | None = None
    ) -> Pairs:
        """Return the pairs of `sample` alone."""
        return self.sample(wanted, seeds, progress)[0]

    def supported(self, request: Request) -> Request:
        """Return what of a request is supported, by which its pair is judged."""
        if self.words:
            return request
        return Request(tuple(ClassRequest(entry.class_id) for entry in request.classes))


class PairsForRequests(PairSource[Request]):
    """Pairs of a generator of image and mask at once."""

    def sample_block(
        self, wanted: Sequence[Request], seeds: Sequence[int], progress: Progress | None = None
    ) -> tuple[Pairs, list[Details]]:
        """Return a pair for each request."""
        pairs = self.generator.generate(wanted, seeds=seeds, progress=progress, **self.options)
        return pairs, [{} for _ in wanted]


class ImagesForMasks(PairSource[Wanted]):
    """Images of an image generator for the masks of a source: those of data, or sampled maps.

    Args:
        generator: a trained p(image | mask).
        masks: gives the masks, for requests or by place.
        sampling: how images are generated.
        provenance: where masks and generator come from.
        weights: a hash of the generator's weights.

    Raises:
        CheckpointError: generator and masks have other classes or sizes.
        ConfigError: the options do not fit the generator.
    """

    def __init__(
        self,
        generator: ImageDiffusion[Any],
        masks: MaskSource[Wanted],
        sampling: SamplingConfig,
        provenance: Provenance,
        weights: str,
    ) -> None:
        super().__init__(generator, sampling, masks.pool, provenance, weights)
        need_same_classes(generator, masks.table)
        if (masks.height, masks.width) != (self.height, self.width):
            raise CheckpointError(
                f"maps of {masks.width}×{masks.height} for images of {self.width}×{self.height}",
                "Train both generators at one size.",
            )
        self.masks, self.made_by = masks, {**self.made_by, **masks.made_by}

    def sample_block(
        self, wanted: Sequence[Wanted], seeds: Sequence[int], progress: Progress | None = None
    ) -> tuple[Pairs, list[Details]]:
        """Return an image for each mask."""
        given = self.masks.take(wanted, seeds, progress)
        images = self.generator.generate(given.ids, seeds=seeds, progress=progress, **self.options)
        return Pairs(images, given.ids, given.confidence), list(given.details)


class RequestedPairs:
    """The pairs of a source for a series of requests, by their places there, each with what it keeps.

    Attributes: as of its source, and of the requests.
    """

    def __init__(self, source: PairSource[Request], requests: RequestSeries) -> None:
        self.source, self.requests = source, requests
        self.name, self.table, self.block = source.name, source.table, source.block
        self.provenance = source.provenance.union(*requests.behind)
        self.made_by = {**source.made_by, **requests.made_by}

    def sample(self, indices: Sequence[int], seeds: Sequence[int]) -> tuple[Pairs, list[Details]]:
        """Return a pair for the request at each place, on the CPU, and what a manifest says of each."""
        requests = [self.source.supported(self.requests.at(index)) for index in indices]
        pairs, details = self.source.sample(requests, seeds)
        masks = pairs.masks.numpy().astype(np.uint8)
        return pairs, [
            {"request": request.to_dict(), "kept": request.kept_by(mask, self.table).to_dict(),
             "order": index, **told}
            for index, request, mask, told in zip(indices, requests, masks, details, strict=True)
        ]  # fmt: skip


def open_pair_source(
    run: Path,
    maps: Path | None = None,
    *,
    sampling: SamplingConfig = SamplingConfig(),  # noqa: B008 - frozen
    map_sampling: MapSamplingConfig = MapSamplingConfig(),  # noqa: B008 - frozen
    device: torch.device | str | None = None,
) -> PairSource[Request]:
    """Open a source of pairs for requests.

    Args:
        run: folder of a run that trained a joint generator or a DatasetGAN; or an image generator.
        maps: for an image generator: folder of a `train maps` run, which generates the masks.
        sampling: how pairs, or images for maps, are generated.
        map_sampling: how maps are generated, and how often one that breaks its request is generated again.
        device: where to generate; by default this process's own.

    Raises:
        CheckpointError: the folder holds something else, or the two generators do not fit each other.
        ConfigError: the options do not fit the generator, or recordings were told apart in two ways.
    """
    from rarescene.training import this_rank

    trained, place = read_record(run), device or this_rank().device
    method = generator_of(run, trained, "images", "pairs")
    if method.generates == "images":
        if maps is None:
            remedy = "Add --maps with the folder of a `train maps` run, or give the run of a joint generator."
            raise ConfigError(f"a {trained.kind} generates images for masks, and has none", remedy, run)
        sampled, images = SampledMaps.open(maps, map_sampling, place), method.load(run / "model")
        behind = trained.provenance.union(sampled.provenance)
        of_maps = ImagesForMasks(images, sampled, sampling, behind, weights_hash(run))
        images.to(place)
        return of_maps
    if maps:
        remedy = "Leave the maps out, or give the run of an image generator."
        raise ConfigError(f"a {trained.kind} generates its own masks", remedy, run)
    generator = method.load(run / "model")
    pool = read_pool(run, generator.table)
    of_pairs = PairsForRequests(generator, sampling, pool, trained.provenance, weights_hash(run))
    generator.to(place)
    return of_pairs


def open_images_for(
    run: Path,
    masks: str,
    sampling: SamplingConfig,
    *,
    device: torch.device | str | None = None,
    **options: Any,
) -> tuple[ImagesForMasks[int], int]:
    """Open an image generator for the masks of a data set.

    Args:
        run: folder of its run.
        masks: the data set, NAME:PATH or a YAML file.
        sampling: how images are generated.
        device: where to generate; by default this process's own.
        **options: which of the masks, as of `MasksOfData`.

    Returns:
        The source of pairs, by their places in an endless series, and how many different masks there are.

    Raises:
        CheckpointError: the folder holds something else, or the masks are of other classes.
        ConfigError: the options do not fit the generator or the masks.
    """
    from rarescene.training import this_rank

    trained = read_record(run)
    generator = generator_of(run, trained, "images", "pairs").load(run / "model")
    given = MasksOfData(masks, generator, run, trained.provenance, **options)
    behind = given.provenance.union(trained.provenance)
    source = ImagesForMasks(generator, given, sampling, behind, weights_hash(run))
    generator.to(device or this_rank().device)
    return source, len(given)


def _first(pairs: Pairs, count: int) -> Pairs:
    """Return the first pairs of a block, on the CPU."""
    sure = pairs.confidence
    return Pairs(
        pairs.images[:count].cpu(), pairs.masks[:count].cpu(), None if sure is None else sure[:count].cpu()
    )


def _joined(blocks: Sequence[Pairs]) -> Pairs:
    import torch

    sure = [pairs.confidence for pairs in blocks if pairs.confidence is not None]
    return Pairs(
        torch.cat([pairs.images for pairs in blocks]),
        torch.cat([pairs.masks for pairs in blocks]),
        torch.cat(sure) if sure else None,
    )
