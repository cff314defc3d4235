"""What the recipes of the paper train, generate and score on one data set, each once, in a `RunStore`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from rarescene.augmentation.duplicate import DuplicateConfig
from rarescene.augmentation.offline import OfflineConfig
from rarescene.commands.evaluate import evaluate
from rarescene.commands.segment import segment
from rarescene.commands.synthesize import synthesize
from rarescene.diffusion import SamplingConfig
from rarescene.evaluation.run_metrics import METRICS
from rarescene.foundation.console import say
from rarescene.foundation.files import write_json
from rarescene.foundation.outputs import alone_in
from rarescene.foundation.plugins import by_command, method_for
from rarescene.foundation.run_record import read_record
from rarescene.recipes.gauda.scale import (
    COLUMNS,
    SEGMENTERS,
    TITLES,
    Column,
    DataName,
    GaudaScale,
    SegmenterName,
)
from rarescene.recipes.run_store import Planned, RunStore, finished
from rarescene.recipes.scale import DataScale
from rarescene.recipes.study import DataStudy, Scores, read_scores
from rarescene.scenes import open_scenes
from rarescene.scenes.config import NO_AUGMENTATION
from rarescene.scenes.data import decode
from rarescene.scenes.statistics import rare_classes
from rarescene.sources.leakage import open_judge

Generator = Literal["joint", "datasetgan"]
Cells = Mapping[int, Path]
"""Seed → run of one column of a table."""


def seeds_of(words: str, cells: Cells, after: str = "") -> dict[str, Path]:
    """Return the runs of a column under the names that an outcome gives them."""
    return {f"{words}, seed {seed}{after}": run for seed, run in cells.items()}


@dataclass(frozen=True)
class Sitting:
    """What one call may train. What earlier calls have trained is shown all the same."""

    here: bool = True
    segmenters: tuple[SegmenterName, ...] = SEGMENTERS
    columns: tuple[Column, ...] = COLUMNS


class GaudaStudy(DataStudy):
    """One data set, split once, and the runs on it.

    A run is `planned` first: its address is known before it is there, so that a table can show what it has.

    Args:
        name: the data set of the paper.
        data: specification of what is taken for it.
        sitting: what may be trained now.
    """

    def __init__(
        self, scale: GaudaScale, name: DataName, data: str, store: RunStore, sitting: Sitting = Sitting()
    ) -> None:
        source: DataScale = getattr(scale, name)
        super().__init__(source, data, store)
        self.scale, self.name, self.sitting = scale, name, sitting

    @cached_property
    def title(self) -> str:
        """What tables call the data: never by the paper's name where they are phantom."""
        if self.data.provenance().phantom:
            return f"phantom for {TITLES[self.name]}"
        return TITLES[self.name] if self.options["data"].startswith(self.name) else self.data.scenes.name

    @cached_property
    def rare(self) -> tuple[str, ...]:
        """The classes that are rare in the training part: tables have rows of these, and pairs show them."""
        return rare_classes(self.data)

    def image_vqgan(self) -> Planned:
        """Return the autoencoder of images."""
        return self.trained("image_vqgan", self.scale.image_vqgan)

    def mask_vqgan(self) -> Planned:
        """Return the autoencoder of masks."""
        return self.trained("mask_vqgan", self.scale.mask_vqgan)

    def joint(self) -> Planned:
        """Return the latent diffusion model of both, made after its autoencoders."""
        return self.trained("joint_latent", self.scale.joint, images=self.image_vqgan, masks=self.mask_vqgan)

    def datasetgan(self) -> Planned:
        """Return the baseline of Table 5."""
        return self.trained("datasetgan", self.scale.datasetgan)

    def generator(self, name: Generator) -> Planned:
        """Return a generator of pairs."""
        return self.joint() if name == "joint" else self.datasetgan()

    def pairs(
        self,
        name: Generator,
        *,
        classes: Sequence[str] = (),
        guidance: float | None = None,
        count: int | None = None,
    ) -> Planned:
        """Return a set of pairs, asked for as the training masks show classes.

        Args:
            classes: the requests ask for one of these at least; none: any request.
            guidance: scale of classifier-free guidance of the joint generator; by default the scale's.
            count: how many; by default the scale's `pairs`.
        """
        generator = self.generator(name)
        scale = self.scale.sampling.guidance if guidance is None else guidance
        sampling = replace(self.scale.sampling, guidance=scale if name == "joint" else None)
        wanted, number = self.data.scenes.classes.listed(classes), count or self.scale.pairs
        content = {
            "generator": generator.name, "classes": wanted, "count": number, "seed": 0,
            "sampling": asdict(sampling), "data": self.identity,
        }  # fmt: skip

        def make(out: Path) -> None:
            run = generator.made()
            say(f"generating {number} pairs with {run.name}")
            applied = sampling if name == "joint" else SamplingConfig(block=sampling.block)
            synthesize(run, out=out, classes=wanted, count=number, sampling=applied, seed=0, resume=True)

        return self.store.planned("pairs", content, make)

    def segmenter(self, name: SegmenterName, column: Column, seed: int) -> Planned:
        """Return a segmenter, trained as a column says and scored on the test recordings."""
        scale, upon = self.scale, dict[str, Planned]()
        options: dict[str, Any] = {}
        for strategy in column.strategies:
            match strategy:
                case "classic":
                    options["classic"] = scale.classic
                case "adaptive":
                    options["adaptive"] = replace(scale.adaptive, by=column.by)
                case "gauda":
                    options["gauda"] = scale.gauda
                    options["sampling"] = scale.sampling
                    upon["generator"] = self.joint()
                case "offline":
                    upon["synthetic"] = self.pairs("joint", classes=self.rare)
                case "duplicate":
                    options |= {"classes": self.data.scenes.classes.listed(self.rare), "copies": scale.pairs}
        return self._scored(name, seed, ",".join(column.strategies), options, upon, column.head)

    def synthetic_only(self, name: SegmenterName, generator: Generator, seed: int) -> Planned:
        """Return a segmenter trained on pairs alone ("SO"), scored on the test recordings."""
        options = {"offline": OfflineConfig(probability=1.0)}
        upon = {"synthetic": self.pairs(generator)}
        return self._scored(name, seed, "offline", options, upon, f"pairs of {generator} alone")

    def have(self, planned: Planned) -> Path | None:
        """Return a run: made where this sitting may train here, else taken if it is there."""
        if self.sitting.here:
            return planned.made()
        return planned.path if planned.there else None

    def cells(self, name: SegmenterName, column: Column) -> Cells | None:
        """Return the runs of all seeds of a column, or None if this sitting may not train what is missing."""
        planned = {seed: self.segmenter(name, column, seed) for seed in self.scale.seeds}
        sitting = self.sitting
        if sitting.here and name in sitting.segmenters and column in sitting.columns:
            return {seed: one.made() for seed, one in planned.items()}
        if not all(one.there for one in planned.values()):
            return None
        return {seed: one.path for seed, one in planned.items()}

    def alone(self, name: SegmenterName, generator: Generator) -> Cells:
        """Return segmenters trained on pairs alone: of all seeds, or of those that earlier sittings made."""
        planned = {seed: self.synthetic_only(name, generator, seed) for seed in self.scale.seeds}
        if self.sitting.here and name in self.sitting.segmenters:
            return {seed: one.made() for seed, one in planned.items()}
        return {seed: one.path for seed, one in planned.items() if one.there}

    def at_size(self, segmenter: Path) -> Scores:
        """Return what a segmenter scored on the test frames at the size of the pairs."""
        path = segmenter / "metrics_at_run.json"
        if not path.is_file():
            evaluate(segmenter, data=self.options["data"], at="run", out=path, quiet=True)
        return read_scores(path)

    def on_pairs(self, segmenter: Path, pairs: Path) -> Scores:
        """Return what a segmenter scored on pairs, each of which counts as a recording of its own."""
        path = segmenter / f"metrics_{pairs.name}.json"
        if not path.is_file():
            scenes = open_scenes(f"set:{pairs}")
            cache = decode(scenes, *self.scale.size)
            judge = open_judge(segmenter, read_record(segmenter), scenes.classes)
            found = judge.overlaps(cache, cache.names, "judging the pairs")
            with alone_in(segmenter, wait=True):
                write_json(path, {"recordings": {name: one.to_dict() for name, one in found.items()}})
        return read_scores(path)

    def notes(self) -> tuple[str, ...]:
        """Return what every table of this study must say."""
        scale = self.scale
        models = {
            "image VQ-GAN": scale.image_vqgan.training,
            "mask VQ-GAN": scale.mask_vqgan.training,
            "latent diffusion": scale.joint.training,
        }
        trained = ", ".join(f"{name} {one.steps} steps of {one.batch_size}" for name, one in models.items())
        sampled = f"pairs sampled by {scale.sampling.sampler} in {scale.sampling.steps} steps"
        return (
            *self.setting(*scale.size),
            f"Generator, one seed: {trained}; {sampled}, guidance {scale.sampling.guidance:g}.",
        )

    def titled_notes(self) -> tuple[str, ...]:
        """Return the notes for a table of several studies."""
        return tuple(f"{self.title}: {note}" for note in self.notes())

    def _scored(
        self,
        name: SegmenterName,
        seed: int,
        strategy: str,
        options: Mapping[str, Any],
        upon: Mapping[str, Planned],
        words: str,
    ) -> Planned:
        """Return a segmenter's run, complete once it is evaluated."""
        model, training = self.scale.segmenters.model(name), self.scale.segmenters.training(name)
        height, width = self.scale.size
        content = {
            "segmenter": name, "model": asdict(model), "training": asdict(training), "strategy": strategy,
            "options": {key: value if isinstance(value, str | int) else asdict(value)
                        for key, value in options.items()},
            "upon": {key: run.name for key, run in upon.items()},
            "seed": seed, "size": [height, width], "data": self.identity,
            "validation_scenes": self.scale.validation_scenes,
        }  # fmt: skip

        def make(out: Path) -> None:
            given = {key: run.made() for key, run in upon.items()}
            if not finished(out):
                say(f"{name}, {words}, seed {seed}")
                own = {word: value for word, value in options.items() if word in by_command("strategies")}
                if "copies" in options:
                    own["duplicate"] = DuplicateConfig(options["copies"], options["classes"])
                segment(
                    method_for("segmenters", model), model=model, training=training, out=out,
                    strategy=strategy, strategies=own, augment=NO_AUGMENTATION,
                    sampling=options.get("sampling", self.scale.sampling),
                    validation_scenes=self.scale.validation_scenes, seed=seed, height=height, width=width,
                    resume=True, **given, **self.options,
                )  # fmt: skip
            evaluate(out, data=self.options["data"], quiet=True)

        return self.store.planned(
            name, content, make, lambda out: finished(out) and (out / METRICS).is_file()
        )
