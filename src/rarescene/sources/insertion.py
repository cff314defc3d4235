"""Rare classes put into real frames: composition says where, a generator draws it, trust checks it.

A pair of these is a real frame, pixel for pixel, but for one region and its margin: a training frame, or one
of a set of frames that a segmenter has labelled where it is sure.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rarescene.diffusion import InsertionConfig, SamplingConfig
from rarescene.foundation.console import say
from rarescene.foundation.errors import ConfigError, DataError
from rarescene.foundation.protocols import Inserter, Pairs
from rarescene.foundation.provenance import Provenance
from rarescene.foundation.run_record import read_record
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import ClassRequest, Request, RequestPool
from rarescene.scenes.data import Data, decode
from rarescene.scenes.statistics import rare_ids
from rarescene.sources.composition import Composer, CompositionConfig, Placement
from rarescene.sources.leakage import open_frames_of_set, open_judge, real_segmenter, refuse_leaks
from rarescene.sources.mask_source import (
    Details,
    Progress,
    Wanted,
    generator_of,
    need_same_classes,
    weights_hash,
)
from rarescene.sources.pair_source import PairSource
from rarescene.sources.trust import MISSED, Seen, Trust, TrustConfig, missed_by

if TYPE_CHECKING:
    import torch


SCENES = 1024
"""Scenes that are looked at for a place before a class is said to have none."""

WITHOUT = 32
"""Those of them that come first, and do not show the class yet."""


@dataclass(frozen=True)
class ComposedScene:
    """A scene, and a region of a training scene that is to be in it.

    Attributes:
        scene: its index among those that regions are put into.
        image: uint8 `(H, W, 3)`, as it is.
        before: uint8 `(H, W)`, its mask as it is.
        placement: the region in its place.
        mask: uint8 `(H, W)`, its mask with the region.
    """

    scene: int
    image: np.ndarray
    before: np.ndarray
    placement: Placement
    mask: np.ndarray


def compose(composer: Composer, class_id: int, seed: int) -> ComposedScene:
    """Return a scene with a region of a class in it, sampled by a seed.

    The region comes from another recording than the scene, which as a rule does not show the class yet.

    Raises:
        DataError: no scene has a plausible place for the class.
    """
    scenes, random = composer.into, np.random.default_rng(derive_seed(seed, "scene"))
    without = np.flatnonzero(scenes.class_pixels[:, class_id] == 0)
    for turn in range(SCENES):
        # scenes that do not show the class yet, and where those have no place for it, any
        among = without if len(without) and turn < WITHOUT else np.arange(len(scenes))
        scene = int(among[random.integers(len(among))])
        mask = scenes.take_masks([scene])[0]
        avoid = scenes.recordings[scene] if len(composer.scenes.groups) > 1 else None
        found = composer.place(mask, class_id, derive_seed(seed, turn), avoid=avoid)
        if found is not None:
            (image,), _ = scenes.take([scene])
            return ComposedScene(scene, image, mask, found, found.composed(mask))
    remedy = (
        "Lower --composition.plausible or --composition.visible, raise --composition.places, or leave the "
        "class out."
    )
    which = "training scene" if scenes is composer.scenes else f"scene of {scenes.name}"
    raise DataError(f"no {which} has a place for {composer.table.names[class_id]}", remedy)


@dataclass(frozen=True)
class Drawn:
    """A composed scene whose region was drawn.

    Attributes:
        scene: what was to be drawn.
        image: float `(3, H, W)` in [-1, 1].
        seen: what a real-trained segmenter sees of the region; None where none was asked.
        attempt: 1 for the first.
    """

    scene: ComposedScene
    image: torch.Tensor
    seen: Seen | None
    attempt: int

    @property
    def trusted(self) -> bool:
        """Whether the region is taken as it is."""
        return self.seen is None or self.seen.enough


class Insertions(PairSource[Wanted]):
    """Real scenes with a region of a rare class in each, drawn by an image or a joint generator.

    Args:
        generator: has an `insert`.
        composer: finds scenes, regions and places.
        sampling: how regions are drawn.
        insertion: how they join the frame.
        provenance: where frames and generator come from.
        weights: a hash of the generator's weights.
        trust: judges each region; None to take all of them.

    Raises:
        CheckpointError: generator and scenes have other classes.
        ConfigError: the options do not fit the generator.
    """

    def __init__(
        self,
        generator: Any,
        composer: Composer,
        sampling: SamplingConfig,
        insertion: InsertionConfig,
        provenance: Provenance,
        weights: str,
        trust: Trust | None = None,
    ) -> None:
        pool = tuple(Request((ClassRequest(class_id),)) for class_id in composer.classes)
        super().__init__(generator, sampling, RequestPool(pool, (1,) * len(pool)), provenance, weights)
        need_same_classes(generator, composer.table)
        self.composer, self.insertion, self.trust = composer, insertion, trust
        self.made_by = {
            **self.made_by, **composer.made_by(), "insertion": asdict(insertion),
            "trust": None if trust is None else trust.made_by,
        }  # fmt: skip

    @abstractmethod
    def class_of(self, wanted: Wanted, seed: int) -> int:
        """Return the class whose region is put into a scene."""

    def sample_block(
        self, wanted: Sequence[Wanted], seeds: Sequence[int], progress: Progress | None = None
    ) -> tuple[Pairs, list[Details]]:
        """Return a scene for each of what is wanted, its region composed and drawn until it is trusted.

        What a manifest says of each has `trust`, the score of its region, and `trusted`, whether that is
        enough.
        """
        import torch

        classes = [self.class_of(one, seed) for one, seed in zip(wanted, seeds, strict=True)]
        tries = 1 if self.trust is None else self.trust.config.tries
        drawn = self._draw(classes, seeds, 1, progress)
        for attempt in range(2, tries + 1):
            again = [place for place, one in enumerate(drawn) if not one.trusted]
            if not again:
                break
            theirs, own = [classes[place] for place in again], [seeds[place] for place in again]
            for place, fresh in zip(again, self._draw(theirs, own, attempt, progress), strict=True):
                drawn[place] = fresh
        images = torch.stack([one.image for one in drawn])
        masks = torch.from_numpy(np.stack([self._label(one) for one in drawn])).long()
        return Pairs(images, masks), [self._told(one) for one in drawn]

    def _draw(
        self, classes: Sequence[int], seeds: Sequence[int], attempt: int, progress: Progress | None
    ) -> list[Drawn]:
        import torch

        from rarescene.training import to_images, to_masks, to_pixels

        own = list(seeds) if attempt == 1 else [derive_seed(seed, "attempt", attempt) for seed in seeds]
        composed = [compose(self.composer, one, seed) for one, seed in zip(classes, own, strict=True)]
        befores = [self._map(one.before) for one in composed]
        told = [one.placement.composed(before) for one, before in zip(composed, befores, strict=True)]
        masks = to_masks(np.stack(told))
        regions = np.stack([one.placement.region for one in composed])
        if self.insertion.whole:
            images = self.generator.generate(masks, seeds=own, progress=progress, **self.options)
        else:
            images = self.generator.insert(
                to_images(np.stack([one.image for one in composed])), masks, torch.from_numpy(regions),
                before=to_masks(np.stack(befores)), seeds=own,
                margin=self.insertion.margin, emphasis=self.insertion.emphasis, progress=progress,
                **self.options,
            )  # fmt: skip
        seen: Sequence[Seen | None] = [None] * len(composed)
        if self.trust is not None:
            seen = self.trust.look(to_pixels(images), regions, classes)
        return [
            Drawn(scene, image, look, attempt)
            for scene, image, look in zip(composed, images, seen, strict=True)
        ]

    def _map(self, mask: np.ndarray) -> np.ndarray:
        """Return the map of a scene as the generator is told it, uint8 `(H, W)`.

        Where a segmenter was not sure, it is told the class of the nearest pixel that has one: what
        unlabelled pixels look like it has learned from real masks, if at all.
        """
        from rarescene.generators.map_codes import fill_ignored

        if self.composer.into is self.composer.scenes:
            return mask
        return fill_ignored(mask, self.table.ignore_index)

    def _label(self, one: Drawn) -> np.ndarray:
        """Return the mask; where trust says so, what is not seen of the region is unlabelled."""
        if one.trusted or self.trust is None or self.trust.config.rule != "ignore":
            return one.scene.mask
        assert one.seen is not None
        return np.where(one.seen.unseen, np.uint8(self.table.ignore_index), one.scene.mask)

    def _told(self, one: Drawn) -> Details:
        placement = one.scene.placement
        target = self.composer.into.records[one.scene.scene]
        source = self.composer.scenes.records[placement.source.scene]
        told: Details = {
            "request": Request.from_mask(one.scene.mask, self.table).to_dict(),
            "group": target.group, "order": target.order, "scene_of": target.name,
            "inserted": self.table.names[placement.source.class_id], "region_of": source.name,
            "placement": placement.to_dict(),
        }  # fmt: skip
        if one.seen is not None:
            told |= {"trust": round(one.seen.value, 4), "trusted": one.trusted, "attempts": one.attempt}
        return told


class InsertionsInTurn(Insertions[int]):
    """Insertions by their places in an endless series, in which the classes take turns."""

    def class_of(self, wanted: int, seed: int) -> int:
        """Return the class whose turn it is."""
        return self.composer.classes[wanted % len(self.composer.classes)]


class InsertionsForRequests(Insertions[Request]):
    """Insertions of what a request names: GAUDA asks for the classes that a segmenter is uncertain of."""

    def class_of(self, wanted: Request, seed: int) -> int:
        """Return the class that is asked for; of several, one by the seed.

        Raises:
            ConfigError: none of them is inserted.
        """
        able = [class_id for class_id in wanted.ids if class_id in self.composer.classes]
        if not able:
            names = ", ".join(self.table.names[class_id] for class_id in self.composer.classes)
            remedy = f"Ask for {names}, or name the class among those that are inserted."
            raise ConfigError(f"nothing is inserted for {wanted.to_text(self.table)!r}", remedy)
        return able[derive_seed(seed, "class") % len(able)]


def check_composition(compose: str, composition: CompositionConfig, insertion: InsertionConfig) -> None:
    """Raise `ConfigError` where options say how regions are put into frames, and `compose` names none."""
    if not compose and (composition != CompositionConfig() or insertion != InsertionConfig()):
        what = "--composition.* and --insertion.* speak of --compose"
        raise ConfigError(what, "Add --compose, or leave them out.")


def open_insertions(
    run: Path,
    source: Data,
    *,
    into: Path | None = None,
    classes: str = "",
    sampling: SamplingConfig = SamplingConfig(),  # noqa: B008 - frozen
    composition: CompositionConfig = CompositionConfig(),  # noqa: B008 - frozen
    insertion: InsertionConfig = InsertionConfig(),  # noqa: B008 - frozen
    judge: Path | None = None,
    trust: TrustConfig = TrustConfig(),  # noqa: B008 - frozen
    on_request: bool = False,
    device: torch.device | str | None = None,
) -> Insertions[Any]:
    """Open a generator that draws rare classes of a data set into its training scenes, or into other frames.

    Args:
        run: folder of a run that trained a generator of images or of pairs.
        source: the data; regions and scenes are taken from their training part alone.
        into: folder of a set of real frames, which a segmenter has labelled, to be drawn into instead.
        classes: comma-separated; by default those that are rare in the training part. "missed": those of
            them that the judge misses on the validation part.
        sampling: how regions are drawn.
        composition: where they may be.
        insertion: how they join the frame.
        judge: folder of a segmenter that was trained on the training part alone, by which regions are judged.
        trust: what becomes of those that it does not see.
        on_request: whether the classes are asked for, or take turns.
        device: where to draw; by default this process's own.

    Raises:
        CheckpointError: a folder holds something else, or was trained on other classes.
        ConfigError: the options do not fit, or recordings were told apart in another way.
        DataError: no training scene shows a class, or no scene has a place for it; or the set is unfinished.
        LeakError: generator, judge or set have seen what is held out of these data.
    """
    from rarescene.training import this_rank
    from rarescene.training.ranks import is_main_process

    trained = read_record(run)
    method = generator_of(run, trained, "images", "pairs")
    if insertion.whole and method.generates == "pairs":
        remedy = "Leave --insertion.whole out, or give the run of an image generator."
        raise ConfigError(f"a {trained.kind} draws no whole scene for a mask", remedy, run)
    generator = method.load(run / "model")
    able = isinstance(generator, Inserter)
    if not able:
        remedy = "Give the run of a diffusion model: casdm, sdm, conditional-ddpm or joint."
        raise ConfigError(f"a {trained.kind} cannot draw a region into a frame", remedy, run)
    need_same_classes(generator, source.scenes.classes, run)
    refuse_leaks(source, trained.provenance, "the generator", run)
    table, behind = source.scenes.classes, source.provenance("train").union(trained.provenance)
    size = generator.config.height, generator.config.width
    frames = None
    if into is not None:
        made_of = read_record(into, "scene set")
        frames = decode(open_frames_of_set(into, made_of, source), *size)
        behind = behind.union(made_of.provenance)
    everything = decode(source.scenes, *size)
    real, validation = everything.subset(source.split.train), everything.subset(source.split.validation)
    asked = None
    if judge is not None:
        record = real_segmenter(judge)
        refuse_leaks(source, record.provenance, "the judge", judge)
        behind = behind.union(record.provenance)
        asked = open_judge(judge, record, table)
    if classes != MISSED:
        wanted = table.ids_in(classes)
    elif asked is not None:
        wanted = missed_by(asked, validation, rare_ids(real, "--classes"))
    else:
        remedy = "Add --judge RUN, or name the classes."
        raise ConfigError(f"--classes {MISSED} speaks of a judge", remedy)
    composer, names = Composer(real, wanted, composition, frames), table.names
    above = ", ".join(names[one] for one in composer.on_top) or "no class (--composition.on_top names some)"
    if is_main_process():
        say(f"put into scenes: {', '.join(names[one] for one in composer.classes)}; stays on top: {above}")
    for class_id in composer.classes:
        compose(composer, class_id, 0)  # a class without any place is told of now, not when it is asked for
    held = None
    if judge is not None and asked is not None:
        held = Trust.of_real(asked, validation, real, composer.classes, trust, {"judge": weights_hash(judge)})
    kind = InsertionsForRequests if on_request else InsertionsInTurn
    made: Insertions[Any] = kind(generator, composer, sampling, insertion, behind, weights_hash(run), held)
    told = {"compose": source.spec} | ({} if into is None else {"into": str(into)})
    made.made_by = told | dict(made.made_by)
    generator.to(device or this_rank().device)
    return made
