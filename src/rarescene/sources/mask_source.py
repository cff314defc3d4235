"""Where the masks of synthetic pairs come from: a data set, or a map generator that is asked for them.

A source answers for a block of indices at once. Its answer depends on the block and the seed alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rarescene.foundation.errors import CheckpointError, ConfigError, DataError
from rarescene.foundation.files import file_hash
from rarescene.foundation.run_record import RECORD, RunRecord, Seen, read_record, told_apart, told_apart_alike
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import MANIFEST, SceneCache
from rarescene.scenes.data import class_ids, decode, open_as_in, open_unsplit
from rarescene.sources.requests import Asked, MapSamplingConfig, ask

if TYPE_CHECKING:
    from torch import Tensor

    from rarescene.generators import DrawnMap, ImageDiffusion, PromptedMaps


@dataclass(frozen=True)
class Masks:
    """The masks of a block, int64 `(B, H, W)`, and what the manifest says of each, with its confidence."""

    ids: Tensor
    details: Sequence[dict[str, Any]]
    confidence: Sequence[np.ndarray | None]


class MaskSource(Protocol):
    """Gives masks by index.

    Attributes:
        different: how many different masks or requests there are.
        made_by: what the set's header says of the masks; a set is resumed with the same only.
        options: how the data were split, for the run record.
        data: what the run record says of the data.
        seen: the recordings that the masks come from.
        told_apart: data set → `--group-by`, of all data behind masks and image generator.
    """

    different: int
    made_by: Mapping[str, Any]
    options: Mapping[str, Any]
    data: Mapping[str, Any]
    seen: Seen
    told_apart: Mapping[str, str | None]

    def take(self, indices: Sequence[int], seeds: Sequence[int]) -> Masks:
        """Return the masks of a block of pairs, given their indices and the pairs' own seeds."""
        ...


class MasksOfData:
    """The masks of a part of a data set that show any of some classes, in an order that the seed decides."""

    def __init__(
        self,
        trained: RunRecord,
        generator: ImageDiffusion[Any],
        run: Path,
        *,
        masks: str,
        classes: str,
        part: str,
        split: str | None,
        group_by: str | None,
        vary: bool,
        seed: int,
    ) -> None:
        # A set that a command wrote is not split: what it was made from is in its own record.
        folder = Path(masks.removeprefix("set:"))
        made = (
            read_record(folder, "scene set")
            if masks.startswith("set:") and (folder / RECORD).is_file()
            else None
        )
        if made is None:
            source = open_as_in(trained, masks, split=split, group_by=group_by)
        else:
            if split or group_by or part not in ("train", "all"):
                what = "--part, --split and --group-by speak of real data"
                raise ConfigError(what, f"Leave them out: all of {masks} is drawn for.")
            source, part = open_unsplit(masks), "all"
        table = source.scenes.classes
        if table.fingerprint != generator.table.fingerprint:
            raise CheckpointError(
                f"knows the classes of {generator.table.name!r}; those of {masks} are {table.name!r}",
                "Use a generator that was trained on the same class table.",
                run,
            )
        self.table, self.vary, self.augment = table, vary, generator.config.augment
        self.given = source.scenes.subset(source.part(part))
        self.cache = decode(self.given, generator.config.height, generator.config.width, images=False)
        shown = masks_that_show(self.cache, classes, f"the {part} part of {masks}")
        self.order = np.random.default_rng(derive_seed(seed, "masks")).permutation(shown)
        self.different = len(self.order)
        self.made_by: Mapping[str, Any] = {"masks": masks, "classes": classes, "part": part, "vary": vary}
        if made is None:
            self.options: Mapping[str, Any] = source.options
            self.data: Mapping[str, Any] = source.describe(trained)
            self.seen = source.seen(part)
            way = {source.scenes.name: source.options["group_by"]}
        else:
            self.made_by = {**self.made_by, "drawn": file_hash(folder / MANIFEST)}
            self.options, self.data, self.seen = split_of(trained), of_both(trained, made), made.seen
            way = dict(told_apart(made))
        self.told_apart: Mapping[str, str | None] = told_apart_alike(told_apart(trained), way)

    def take(self, indices: Sequence[int], seeds: Sequence[int]) -> Masks:
        """Return masks in turn, with the requests that they keep."""
        import torch

        from rarescene.scenes import Request, augment
        from rarescene.training import to_masks

        places = [int(self.order[index % len(self.order)]) for index in indices]
        ids = to_masks(self.cache.take_masks(places))
        if self.vary:
            blank = torch.zeros(len(ids), 3, *ids.shape[1:])
            _, ids = augment(blank, ids, seeds, self.augment, ignore_index=self.table.ignore_index)
        details = []
        for mask, place in zip(ids.numpy().astype(np.uint8), places, strict=True):
            origin, request = self.given.records[place], Request.from_mask(mask, self.table)
            details.append(
                {"request": request.to_dict(), "group": origin.group, "order": origin.order,
                 "mask_of": origin.name}
            )  # fmt: skip
        return Masks(ids, details, [None] * len(details))


class MapsOfRequests:
    """Maps that a map generator draws for requests: a request goes in, a checked map comes out."""

    def __init__(
        self,
        trained: RunRecord,
        generator: ImageDiffusion[Any],
        maps: Path,
        *,
        requests: str,
        classes: str,
        part: str,
        map_sampling: MapSamplingConfig,
        seed: int,
    ) -> None:
        from rarescene.generators import PromptedMaps

        drawer = read_record(maps, "maps")
        self.drawer: PromptedMaps = PromptedMaps.load(maps / "model")
        table, config = self.drawer.table, self.drawer.config
        check_steps(self.drawer, map_sampling)
        if table.fingerprint != generator.table.fingerprint:
            raise CheckpointError(
                f"draws maps of classes of {table.name!r}; the images have those of {generator.table.name!r}",
                "Train both generators on data of one class table.",
                maps,
            )
        if (config.height, config.width) != (generator.config.height, generator.config.width):
            raise CheckpointError(
                f"draws maps of {config.width}×{config.height} for images of "
                f"{generator.config.width}×{generator.config.height}",
                "Train both generators at one size.",
                maps,
            )
        self.told_apart: Mapping[str, str | None] = told_apart_alike(told_apart(trained), told_apart(drawer))
        self.asked: Asked = ask(
            maps, drawer, table,
            prompt="", requests=requests, classes=classes, alone=False, part=part, seed=seed,
        )  # fmt: skip
        self.sampling, self.seed, self.different = map_sampling, seed, self.asked.different
        self.made_by: Mapping[str, Any] = {
            "maps": file_hash(maps / "model" / "weights.safetensors"), "requests": requests,
            "asked": self.asked.fingerprint, "classes": classes, "part": part,
            "map_sampling": vars(map_sampling),
        }  # fmt: skip
        self.options: Mapping[str, Any] = split_of(trained)
        self.data: Mapping[str, Any] = of_both(trained, drawer)
        self.seen = drawer.seen.union(self.asked.seen)

    def take(self, indices: Sequence[int], seeds: Sequence[int]) -> Masks:
        """Return maps drawn for the requests of these indices."""
        import torch

        drawn = draw_maps(self.drawer, self.asked, indices, self.seed, self.sampling)
        ids = torch.tensor(np.stack([one.mask for one in drawn]), dtype=torch.int64)
        details = []
        for one, index in zip(drawn, indices, strict=True):
            described = describe_map(one, index)
            described["map_seed"] = described.pop("seed")
            details.append(described)
        return Masks(ids, details, [one.confidence for one in drawn])


def of_both(images: RunRecord, maps: RunRecord) -> dict[str, Any]:
    """Return the image generator's data, under the licences of both."""
    licences = dict.fromkeys((*images.data["licence"].split(" + "), *maps.data["licence"].split(" + ")))
    phantom = bool(images.data.get("phantom") or maps.data.get("phantom"))
    return {**images.data, "licence": " + ".join(licences), "phantom": phantom}


def split_of(run: RunRecord) -> dict[str, Any]:
    """Return how a run's data were split, in the words of the command line."""
    return {name: run.config[name] for name in ("split", "fractions", "split_seed", "group_by")}


def masks_that_show(cache: SceneCache, classes: str, where: str) -> np.ndarray:
    """Return the scenes whose masks show any of the comma-separated classes; all of them where none is named.

    Raises:
        DataError: no mask shows them.
    """
    wanted = list(class_ids(cache.classes, classes))
    shown = np.flatnonzero(cache.class_pixels[:, wanted].any(axis=1)) if wanted else np.arange(len(cache))
    if not len(shown):
        remedy = "`rarescene stats` lists which recordings show a class; choose another part or split."
        raise DataError(f"no mask of {where} shows {classes}", remedy)
    return shown


def check_steps(generator: PromptedMaps, sampling: MapSamplingConfig) -> None:
    """Raise `ConfigError` where a sampler cannot take as many steps."""
    if sampling.steps > (most := generator.config.diffusion.timesteps):
        raise ConfigError(
            f"map_sampling.steps is {sampling.steps}", f"Take 1 to {most}, the timesteps of the generator."
        )


def draw_maps(
    generator: PromptedMaps, asked: Asked, indices: Sequence[int], seed: int, sampling: MapSamplingConfig
) -> list[DrawnMap]:
    """Return the checked maps of a block of indices."""
    return generator.draw(
        [asked.at(index) for index in indices],
        seeds=[derive_seed(seed, "map", index) for index in indices],
        tries=sampling.tries,
        sampler=sampling.sampler,
        steps=sampling.steps,
        guidance=sampling.guidance,
        precision=sampling.precision,
    )


def describe_map(one: DrawnMap, index: int) -> dict[str, Any]:
    """Return what a manifest says of a generated map."""
    return {
        "generator": "maps", "request": one.request.to_dict(), "kept": one.report.to_dict(),
        "kept_at_first": one.first.to_dict(), "tries": one.tries, "seed": one.seed, "order": index,
    }  # fmt: skip
