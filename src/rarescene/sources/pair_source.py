"""One way to open any source of pairs by its run: joint diffusion, DatasetGAN, or maps and then images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.files import file_hash
from rarescene.foundation.protocols import Pairs
from rarescene.foundation.run_record import RunRecord, Seen, read_record, told_apart, told_apart_alike
from rarescene.generators.loading import METHODS, PAIR_METHODS
from rarescene.scenes import ClassRequest, ClassTable, Request, RequestPool
from rarescene.sources.mask_source import MaskSource, of_both, split_of
from rarescene.sources.requests import MapSamplingConfig, SamplingConfig, ask, read_pool

if TYPE_CHECKING:
    import torch

    from rarescene.generators import ImageDiffusion

IMAGE_STEPS, JOINT_STEPS = 30, 20
"""Denoising steps of an image generator and of a joint one, where none are given."""

Progress = Callable[[int, int], None]
Draw = Callable[[Sequence[Request], Sequence[int], Progress | None], Pairs]


@dataclass(frozen=True)
class PairDrawer:
    """A source of pairs, ready to draw, and what must be known of it before its pairs may join real data.

    Attributes:
        name: of the method, as in run records.
        table: its classes.
        height: of the pairs, in pixels.
        width: likewise.
        words: whether numbers of pieces and places are listened to, or the classes alone.
        pool: the requests of its training masks.
        seen: the recordings that it was made from.
        told_apart: data set → `--group-by`, of all data behind it.
        made_by: what a set's header says of it; a set is resumed with the same only.
        data: what a run record says of the data, with the licences of all of them.
        options: how its data were split, in the words of the command line.
        block: pairs drawn at once.
        generate: draws a pair for each request and seed of one block, and calls `progress`, if there is one,
            after each denoising step.
    """

    name: str
    table: ClassTable
    height: int
    width: int
    words: bool
    pool: RequestPool
    seen: Seen
    told_apart: Mapping[str, str | None]
    made_by: Mapping[str, Any]
    data: Mapping[str, Any]
    options: Mapping[str, Any]
    block: int
    generate: Draw

    def heard(self, request: Request) -> Request:
        """Return what of a request is listened to, by which its pair is judged."""
        if self.words:
            return request
        return Request(tuple(ClassRequest(entry.class_id) for entry in request.classes))

    def draw(
        self,
        requests: Sequence[Request],
        seeds: Sequence[int],
        progress: Progress | None = None,
    ) -> Pairs:
        """Draw a pair for each request, whether it keeps it or not.

        The work is cut into blocks and the last one padded, so that a pair is the same to the byte, however
        many are drawn with it. Prompted maps are the exception: those that break their requests are drawn
        again in smaller batches, whose size may change how floats are rounded.

        Args:
            requests: one or more.
            seeds: one a request; pair i depends on request i and seed i alone.
            progress: called after each denoising step, with those done of a block and all of them.

        Returns:
            The pairs, on the CPU.
        """
        import torch

        drawn: list[Pairs] = []
        for start in range(0, len(requests), self.block):
            asked = [self.heard(request) for request in requests[start : start + self.block]]
            theirs = list(seeds[start : start + self.block])
            lacking = self.block - len(asked)
            pairs = self.generate(asked + asked[-1:] * lacking, theirs + theirs[-1:] * lacking, progress)
            drawn.append(_first(pairs, len(asked)))
        sure = [pairs.confidence for pairs in drawn if pairs.confidence is not None]
        return Pairs(
            torch.cat([pairs.images for pairs in drawn]),
            torch.cat([pairs.masks for pairs in drawn]),
            torch.cat(sure) if sure else None,
        )


def open_pair_drawer(
    run: Path,
    maps: Path | None = None,
    *,
    sampling: SamplingConfig = SamplingConfig(),  # noqa: B008 - frozen
    map_sampling: MapSamplingConfig = MapSamplingConfig(),  # noqa: B008 - frozen
    device: torch.device | str | None = None,
) -> PairDrawer:
    """Open a source of pairs.

    Args:
        run: folder of a run that trained a joint generator or a DatasetGAN; or an image generator.
        maps: for an image generator: folder of a `train maps` run, which draws the masks.
        sampling: how pairs, or images for maps, are drawn.
        map_sampling: how maps are drawn, and how often one that breaks its request is drawn again.
        device: where to draw; by default this process's own.

    Raises:
        CheckpointError: the folder holds something else, or the two generators do not fit each other.
        ConfigError: the options do not fit the generator, or recordings were told apart in two ways.
    """
    from rarescene.training import this_rank

    trained, place = read_record(run), device or this_rank().device
    if trained.kind in METHODS:
        return _maps_then_images(run, trained, maps, sampling, map_sampling, place)
    if trained.kind not in PAIR_METHODS:
        known = ", ".join((*PAIR_METHODS, *METHODS))
        what = f"holds a run of kind {trained.kind!r}, and a generator of pairs is needed"
        raise CheckpointError(what, f"Give the folder of a run of one of: {known}.", run)
    if maps:
        remedy = "Leave the maps out, or give the run of an image generator."
        raise ConfigError(f"a {trained.kind} draws its own masks", remedy, run)
    if trained.kind == "joint_latent":
        return _joint_latent(run, trained, sampling, place)
    return _datasetgan(run, trained, sampling, place)


def _joint_latent(
    run: Path, trained: RunRecord, sampling: SamplingConfig, device: torch.device | str
) -> PairDrawer:
    from rarescene.generators import JointLatent

    generator = JointLatent.load(run / "model")
    sampling = sampling.settled(JOINT_STEPS)
    options = generation_options(sampling)
    generator.check(options["steps"], options["guidance"])
    generator.to(device)
    return PairDrawer(
        words=generator.condition.words,
        made_by={**_identity(run, trained), "sampling": asdict(sampling)},
        block=sampling.block,
        generate=lambda requests, seeds, progress: generator.generate(
            requests, seeds=seeds, progress=progress, **options
        ),
        **_described(run, trained, generator.table),
    )


def _datasetgan(
    run: Path, trained: RunRecord, sampling: SamplingConfig, device: torch.device | str
) -> PairDrawer:
    from rarescene.generators import DatasetGan

    given, usual = generation_options(sampling), generation_options(SamplingConfig())
    if deaf := ", ".join(f"sampling.{name}" for name in given if given[name] != usual[name]):
        remedy = f"Leave {deaf} out; of its drawing, sampling.block alone can be chosen."
        raise ConfigError("DatasetGAN draws in one step, and knows no guidance", remedy, run)
    generator = DatasetGan.load(run / "model")
    generator.to(device)
    return PairDrawer(
        words=False,
        made_by={**_identity(run, trained), "sampling": {"block": sampling.block}},
        block=sampling.block,
        generate=lambda requests, seeds, progress: generator.generate(
            requests, seeds=seeds, progress=progress
        ),
        **_described(run, trained, generator.table),
    )


def _maps_then_images(
    run: Path,
    trained: RunRecord,
    maps: Path | None,
    sampling: SamplingConfig,
    map_sampling: MapSamplingConfig,
    device: torch.device | str,
) -> PairDrawer:
    from rarescene.generators import MapsThenImages, PromptedMaps, load_image_generator
    from rarescene.sources.mask_source import check_steps

    if maps is None:
        remedy = "Add --maps with the folder of a `train maps` run, or give the run of a joint generator."
        raise ConfigError(f"a {trained.kind} draws images for masks, and has none", remedy, run)
    drawer = read_record(maps, "maps")
    of_maps, of_images = PromptedMaps.load(maps / "model"), load_image_generator(run / "model")
    generator = MapsThenImages(of_maps, of_images)
    sampling = sampling.settled(IMAGE_STEPS)
    options = generation_options(sampling)
    of_images.check(options["steps"], options["guidance"])
    check_steps(of_maps, map_sampling)
    generator.to(device)
    tries, map_options = map_sampling.tries, generation_options(map_sampling)
    return PairDrawer(
        name=trained.kind,
        table=generator.table,
        height=of_images.config.height,
        width=of_images.config.width,
        words=True,
        pool=read_pool(maps, generator.table),
        seen=trained.seen.union(drawer.seen),
        told_apart=told_apart_alike(told_apart(trained), told_apart(drawer)),
        made_by={
            **_identity(run, trained), "sampling": asdict(sampling),
            "maps": weights_hash(maps), "map_sampling": asdict(map_sampling),
        },
        data=of_both(trained, drawer),
        options=split_of(trained),
        block=sampling.block,
        generate=lambda requests, seeds, progress: generator.generate(
            requests, seeds=seeds, tries=tries, map_options=map_options, image_options=options,
            progress=progress,
        ),
    )  # fmt: skip


def generation_options(sampling: SamplingConfig | MapSamplingConfig) -> dict[str, Any]:
    """Return what `generate` of a diffusion model is told of the sampling."""
    return {name: getattr(sampling, name) for name in ("sampler", "steps", "guidance", "precision")}


def weights_hash(run: Path) -> str:
    """Return a short hash of all weights of a run's model. Raises `CheckpointError` where there are none."""
    files = sorted((run / "model").rglob("*.safetensors"))
    if not files:
        remedy = "Give the folder of a finished run."
        raise CheckpointError("holds no weights", remedy, run / "model")
    return hashlib.sha256("".join(map(file_hash, files)).encode()).hexdigest()[:16]


def _identity(run: Path, trained: RunRecord) -> dict[str, Any]:
    return {"generator": trained.kind, "weights": weights_hash(run)}


def _described(run: Path, trained: RunRecord, table: ClassTable) -> dict[str, Any]:
    """Return what a generator of pairs, trained by one run, says of itself."""
    model = trained.config["model"]
    return {
        "name": trained.kind,
        "table": table,
        "height": model["height"],
        "width": model["width"],
        "pool": read_pool(run, table),
        "seen": trained.seen,
        "told_apart": told_apart(trained),
        "data": trained.data,
        "options": split_of(trained),
    }


def _first(pairs: Pairs, count: int) -> Pairs:
    """Return the first pairs of a block, on the CPU."""
    sure = pairs.confidence
    return Pairs(
        pairs.images[:count].cpu(),
        pairs.masks[:count].cpu(),
        None if sure is None else sure[:count].cpu(),
    )


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
