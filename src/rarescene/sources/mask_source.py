"""Where the masks of synthetic pairs come from: a data set, or a map generator that is asked for them.

A source answers for a block at once: what it gives depends on the block and its seeds alone.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import numpy as np

from rarescene.diffusion import MapSamplingConfig
from rarescene.foundation.console import say_once
from rarescene.foundation.errors import CheckpointError, ConfigError, DataError
from rarescene.foundation.files import file_hash
from rarescene.foundation.methods import Generated, GeneratorMethod
from rarescene.foundation.plugins import method_of, methods
from rarescene.foundation.provenance import Provenance
from rarescene.foundation.run_record import RECORD, RunRecord, read_record
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import MANIFEST, ClassTable, Request, RequestPool, SceneCache
from rarescene.scenes.data import decode, open_as_in, open_unsplit
from rarescene.sources.requests import read_pool

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from rarescene.generators import GeneratedMap, ImageDiffusion, PromptedMaps

Progress = Callable[[int, int], None]
Details = dict[str, Any]
Wanted = TypeVar("Wanted")


@dataclass(frozen=True)
class Masks:
    """The masks of a block.

    Attributes:
        ids: int64 `(B, H, W)` of class ids.
        details: what the manifest says of each.
        confidence: float32 `(B, H, W)` in [0, 1]; None where there is none.
    """

    ids: Tensor
    details: Sequence[Details]
    confidence: Tensor | None = None


class MaskSource(ABC, Generic[Wanted]):
    """Gives a mask for each of what is wanted: for requests, or for places in a series.

    Attributes:
        table: the classes of the masks.
        height: in pixels.
        width: likewise.
        pool: the requests of the masks that a generator of them was trained on; empty without one.
        provenance: where the masks come from.
        made_by: what a set's header says of the masks; a set is resumed with the same only.
    """

    table: ClassTable
    height: int
    width: int
    pool: RequestPool
    provenance: Provenance
    made_by: Mapping[str, Any]

    @abstractmethod
    def take(self, wanted: Sequence[Wanted], seeds: Sequence[int], progress: Progress | None = None) -> Masks:
        """Return the masks of a block of pairs, given what is wanted and the pairs' own seeds."""


class MasksOfData(MaskSource[int]):
    """The masks of a part of a data set that show any of some classes, in an order that the seed decides.

    Args:
        masks: the data set, as on the command line.
        images: generates images for them, at its size.
        run: its folder, for messages.
        like: where that generator comes from; by default the data set is split as its data were.
        classes: comma-separated; masks that show any of them. All of them where none is named.
        part: of the split.
        split: instead of the split of the generator's data.
        group_by: instead of theirs.
        vary: flip and rotate the masks as the generator's training did.
        seed: of the order.

    Raises:
        CheckpointError: the generator has other classes.
        ConfigError: options speak of the split of a synthetic set.
        DataError: no mask shows the classes.
    """

    pool = RequestPool((), ())

    def __init__(
        self,
        masks: str,
        images: ImageDiffusion[Any],
        run: Path,
        like: Provenance,
        *,
        classes: str = "",
        part: str = "train",
        split: str | None = None,
        group_by: str | None = None,
        vary: bool = False,
        seed: int = 0,
    ) -> None:
        self.height, self.width = images.config.height, images.config.width
        self.vary = images.config.augment if vary else None
        # A set that a command wrote is not split: what it was made from is in its own record.
        folder = Path(masks.removeprefix("set:"))
        if masks.startswith("set:") and (folder / RECORD).is_file():
            if split or group_by or part not in ("train", "all"):
                what = "--part, --split and --group-by speak of real data"
                raise ConfigError(what, f"Leave them out: all of {masks} is generated for.")
            source, part = open_unsplit(masks), "all"
            made_from = {"drawn": file_hash(folder / MANIFEST)}
            self.provenance = like.union(read_record(folder, "scene set").provenance)
        else:
            source, made_from = open_as_in(like, masks, split=split, group_by=group_by), {}
            self.provenance = source.provenance(part)
        self.table, self.given = source.scenes.classes, source.scenes.subset(source.part(part))
        need_same_classes(images, self.table, run)
        self.cache = decode(self.given, self.height, self.width, images=False)
        self.made_by: Mapping[str, Any] = {
            "masks": masks, "classes": classes, "part": part, "vary": vary, "decoded": self.cache.digest,
            **made_from,
        }  # fmt: skip
        shown = masks_that_show(self.cache, classes, f"the {part} part of {masks}")
        self.order = np.random.default_rng(derive_seed(seed, "masks")).permutation(shown)

    def __len__(self) -> int:
        return len(self.order)

    def take(self, wanted: Sequence[int], seeds: Sequence[int], progress: Progress | None = None) -> Masks:
        """Return the masks of these places in an endless series, with the requests that they keep."""
        import torch

        from rarescene.scenes import augment
        from rarescene.training import to_masks

        places = [int(self.order[index % len(self.order)]) for index in wanted]
        ids = to_masks(self.cache.take_masks(places))
        if self.vary is not None:
            blank = torch.zeros(len(ids), 3, *ids.shape[1:])
            _, ids = augment(blank, ids, seeds, self.vary, ignore_index=self.table.ignore_index)
        details = []
        for mask, place in zip(ids.numpy().astype(np.uint8), places, strict=True):
            origin, request = self.given.records[place], Request.from_mask(mask, self.table)
            details.append(
                {"request": request.to_dict(), "group": origin.group, "order": origin.order,
                 "mask_of": origin.name}
            )  # fmt: skip
        return Masks(ids, details)


class SampledMaps(MaskSource[Request]):
    """Maps of a map generator for requests: a request goes in, a checked map comes out.

    Args:
        generator: generates them.
        sampling: how, and how often one that breaks its request is generated again.
        pool: the requests of its training masks.
        provenance: where it comes from.
        weights: a hash of its weights.

    Raises:
        ConfigError: the options do not fit the generator.
    """

    def __init__(
        self,
        generator: PromptedMaps,
        sampling: MapSamplingConfig,
        pool: RequestPool,
        provenance: Provenance,
        weights: str,
    ) -> None:
        self.generator, self.options = generator, generator.sampling(sampling)
        self.table, self.pool, self.provenance = generator.table, pool, provenance
        self.height, self.width = generator.config.height, generator.config.width
        self.made_by = {"maps": weights, "map_sampling": asdict(sampling)}

    @classmethod
    def open(cls, run: Path, sampling: MapSamplingConfig, device: torch.device | str | None = None) -> Self:
        """Open the map generator of a `train maps` run, to generate on a device; by default this process's
        own.

        Raises:
            CheckpointError: the folder holds something else.
            ConfigError: the options do not fit the generator.
        """
        from rarescene.training import this_rank

        trained = read_record(run)
        generator = generator_of(run, trained, "maps").load(run / "model")
        pool = read_pool(run, generator.table)
        source = cls(generator, sampling, pool, trained.provenance, weights_hash(run))
        generator.to(device or this_rank().device)
        return source

    def generate_checked(
        self, requests: Sequence[Request], seeds: Sequence[int], progress: Progress | None = None
    ) -> list[GeneratedMap]:
        """Return a checked map for each request and seed of its own."""
        made = self.generator.generate_checked(requests, seeds=seeds, progress=progress, **self.options)
        need_finite("maps", *(one.confidence for one in made))
        return made

    def take(
        self, wanted: Sequence[Request], seeds: Sequence[int], progress: Progress | None = None
    ) -> Masks:
        """Return maps for requests, given the seeds of the pairs that they are for."""
        import torch

        generated = self.generate_checked(wanted, [derive_seed(seed, "map") for seed in seeds], progress)
        ids = torch.tensor(np.stack([one.mask for one in generated]), dtype=torch.int64)
        confidence = torch.from_numpy(np.stack([one.confidence for one in generated]))
        details = [
            {"kept_at_first": one.first.to_dict(), "tries": one.tries, "map_seed": one.seed}
            for one in generated
        ]
        return Masks(ids, details, confidence)


def generator_of(run: Path, trained: RunRecord, *generates: Generated) -> GeneratorMethod:
    """Return the method that a run trained, which samples one of these; of an unfinished run, say so.

    Raises:
        CheckpointError: it is another kind of run, or the method is not installed here.
    """
    known = methods("generators")
    if trained.kind in known or "package" in trained.config:
        method: GeneratorMethod = method_of("generators", trained.kind, trained.config.get("package"), run)
        if method.generates in generates:
            if trained.finished is None and (run / "model").is_dir():
                say_once(f"note: {run} is not trained to its end; it samples as at its newest checkpoint")
            return method
    able = ", ".join(name for name, method in known.items() if method.generates in generates)
    what = f"holds a run of kind {trained.kind!r}, and a generator of {' or '.join(generates)} is needed"
    raise CheckpointError(what, f"Give the folder of a run of one of: {able}.", run)


def need_finite(generator: str, *drawn: Tensor | np.ndarray | None) -> None:
    """Raise `CheckpointError` where a generator drew values that are not finite: they would look black."""
    if not all(np.isfinite(np.asarray(one)).all() for one in drawn if one is not None):
        remedy = "Draw in float32 (--sampling.precision no), with less guidance, or train it again."
        raise CheckpointError(f"the {generator} generator drew values that are not finite", remedy)


def need_same_classes(images: ImageDiffusion[Any], table: ClassTable, run: Path | None = None) -> None:
    """Raise `CheckpointError` where an image generator knows other classes than masks have."""
    if table.fingerprint != images.table.fingerprint:
        raise CheckpointError(
            f"knows the classes of {images.table.name!r}; those of the masks are {table.name!r}",
            "Use a generator that was trained on the same class table.",
            run,
        )


def masks_that_show(cache: SceneCache, classes: str, where: str) -> np.ndarray:
    """Return the scenes whose masks show any of the comma-separated classes; all of them where none is named.

    Raises:
        DataError: no mask shows them.
    """
    wanted = list(cache.classes.ids_in(classes))
    shown = np.flatnonzero(cache.class_pixels[:, wanted].any(axis=1)) if wanted else np.arange(len(cache))
    if not len(shown):
        remedy = "`rarescene stats` lists which recordings show a class; choose another part or split."
        raise DataError(f"no mask of {where} shows {classes}", remedy)
    return shown


def check_map_sampling(maps: Path | None, map_sampling: MapSamplingConfig) -> None:
    """Check that options of maps were given only where maps are generated; their block may stand.

    Raises:
        ConfigError: they would be ignored.
    """
    usual = MapSamplingConfig(block=map_sampling.block)
    deaf = [name for name, value in asdict(map_sampling).items() if value != getattr(usual, name)]
    if deaf and maps is None:
        named = ", ".join(f"map_sampling.{name}" for name in deaf)
        remedy = f"Leave {named} out, or give --maps with the folder of a `train maps` run."
        raise ConfigError("no maps are generated, and options say how", remedy)


def weights_hash(run: Path) -> str:
    """Return a short hash of all weights of a run's model. Raises `CheckpointError` where there are none."""
    files = sorted((run / "model").rglob("*.safetensors"))
    if not files:
        remedy = "Give the folder of a finished run."
        raise CheckpointError("holds no weights", remedy, run / "model")
    return hashlib.sha256("".join(map(file_hash, files)).encode()).hexdigest()[:16]
