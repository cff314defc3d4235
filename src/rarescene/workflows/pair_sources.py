"""Where synthetic pairs come from: images drawn for masks, or pairs drawn for requests.

A source answers for a block of indices at once. Its answer depends on the block and the seed alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rarescene.foundation.files import file_hash
from rarescene.foundation.protocols import Pairs
from rarescene.foundation.run_record import RunRecord, Seen
from rarescene.scenes import ClassTable
from rarescene.workflows.asking import SamplingConfig, ask
from rarescene.workflows.mask_sources import MaskSource
from rarescene.workflows.pair_drawer import PairDrawer, generation_options

if TYPE_CHECKING:
    from rarescene.generators import ImageDiffusion


class PairSource(Protocol):
    """Gives pairs by index.

    Attributes:
        name: of the generator.
        table: its classes.
        different: how many different masks or requests there are.
        made_by: what the set's header says of how its pairs are made; a set is resumed with the same only.
        options: how the data were split, for the run record.
        data: what the run record says of the data.
        seen: the recordings that the pairs are made from.
        told_apart: data set → `--group-by`, of all data behind them.
    """

    name: str
    table: ClassTable
    different: int
    made_by: Mapping[str, Any]
    options: Mapping[str, Any]
    data: Mapping[str, Any]
    seen: Seen
    told_apart: Mapping[str, str | None]

    def take(self, indices: Sequence[int], seeds: Sequence[int]) -> tuple[Pairs, list[dict[str, Any]]]:
        """Return the pairs of a block and what the manifest says of each."""
        ...


class ImagesForMasks:
    """Images that an image generator draws for the masks of a source of masks."""

    def __init__(
        self,
        run: Path,
        trained: RunRecord,
        generator: ImageDiffusion[Any],
        masks: MaskSource,
        sampling: SamplingConfig,
    ) -> None:
        self.generator, self.masks, self.sampling = generator, masks, generation_options(sampling)
        self.name, self.table, self.different = generator.name, generator.table, masks.different
        self.made_by: Mapping[str, Any] = {
            "generator": generator.name, "weights": file_hash(run / "model" / "weights.safetensors"),
            **masks.made_by,
        }  # fmt: skip
        self.options, self.data, self.told_apart = masks.options, masks.data, masks.told_apart
        self.seen = trained.seen.union(masks.seen)

    def take(self, indices: Sequence[int], seeds: Sequence[int]) -> tuple[Pairs, list[dict[str, Any]]]:
        """Return images for the masks of these indices."""
        import torch

        given = self.masks.take(indices, seeds)
        images = self.generator.generate(given.ids, seeds=seeds, **self.sampling)
        sure = [one for one in given.confidence if one is not None]
        confidence = torch.from_numpy(np.stack(sure)) if sure else None
        return Pairs(images, given.ids, confidence), list(given.details)


class PairsOfRequests:
    """Pairs that a drawer draws for requests, each with what it keeps of its own."""

    def __init__(
        self,
        run: Path,
        trained: RunRecord,
        drawer: PairDrawer,
        *,
        requests: str,
        classes: str,
        part: str,
        seed: int,
    ) -> None:
        self.drawer, self.name, self.table = drawer, drawer.name, drawer.table
        self.asked = ask(
            run, trained, drawer.table,
            prompt="", requests=requests, classes=classes, alone=False, part=part, seed=seed,
        )  # fmt: skip
        self.different = self.asked.different
        self.made_by: Mapping[str, Any] = {
            **drawer.made_by, "requests": requests, "asked": self.asked.fingerprint,
            "classes": classes, "part": part,
        }  # fmt: skip
        self.options, self.data, self.told_apart = drawer.options, drawer.data, drawer.told_apart
        self.seen = drawer.seen.union(self.asked.seen)

    def take(self, indices: Sequence[int], seeds: Sequence[int]) -> tuple[Pairs, list[dict[str, Any]]]:
        """Return pairs for the requests of these indices."""
        requests = [self.drawer.heard(self.asked.at(index)) for index in indices]
        pairs = self.drawer.draw(requests, seeds)
        details = []
        for index, request, mask in zip(indices, requests, pairs.masks.numpy(), strict=True):
            kept = request.kept_by(mask.astype(np.uint8), self.table)
            details.append({"request": request.to_dict(), "kept": kept.to_dict(), "order": index})
        return pairs, details
