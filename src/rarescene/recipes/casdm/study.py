"""What the recipes of the paper train, generate and score on one data set, each once, in a `RunStore`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rarescene.augmentation.duplicate import DuplicateConfig
from rarescene.commands.evaluate import evaluate
from rarescene.commands.segment import segment
from rarescene.commands.synthesize import synthesize
from rarescene.evaluation.run_metrics import METRICS
from rarescene.foundation.console import say
from rarescene.foundation.plugins import method_for
from rarescene.generators.casdm_config import CasdmConfig
from rarescene.recipes.casdm.scale import CasdmScale, SegmenterName
from rarescene.recipes.run_store import RunStore
from rarescene.recipes.scale import DataScale
from rarescene.recipes.study import DataStudy
from rarescene.scenes.data import decode

Generator = Literal[
    "casdm", "sdm", "conditional_ddpm", "plain", "class_aware_mse", "class_aware_self_perceptual"
]
Maps = Literal["train", "test", "prompts"]
StrategyName = Literal["none", "duplicate", "offline"]


class Study(DataStudy):
    """A `DataStudy` with the sizes of a scale."""

    def __init__(self, scale: CasdmScale, source: DataScale, data: str, store: RunStore) -> None:
        super().__init__(source, data, store)
        self.scale = scale

    def generator(self, name: Generator) -> Path:
        """Return the run of an image generator; those of the ablation differ in the loss alone."""
        if name in ("sdm", "conditional_ddpm"):
            return self.trained(name, getattr(self.scale, name)).made()
        return self.trained("casdm", ablated(self.scale.casdm, name)).made()

    def pairs(self, name: Generator, classes: Sequence[str], maps: Maps = "train") -> Path:
        """Return a set of synthetic pairs.

        Args:
            classes: the pairs show one of these at least; none: any map.
            maps: what images are made for: maps of the training part that show the classes, every map of the
                test part (each once, up to the scale's `scored`), or prompted maps.
        """
        scale, generator = self.scale, self.generator(name)
        wanted = self.data.scenes.classes.listed(classes)
        count = min(scale.scored, len(self.data.split.test)) if maps == "test" else scale.pairs
        options: dict[str, Any] = {"classes": wanted, "count": count, "sampling": scale.sampling, "seed": 0}
        if maps == "prompts":
            prompted = self.trained("maps", self.scale.maps).made()
            content: dict[str, Any] = {"maps": prompted.name, "map_sampling": asdict(scale.map_sampling)}
            options |= {"maps": prompted, "map_sampling": scale.map_sampling}
        else:
            content = {"part": maps}
            options |= {"masks": self.options["data"], "part": maps}
        content |= {
            "generator": generator.name, "classes": wanted, "count": count, "seed": 0,
            "sampling": asdict(scale.sampling), "data": self.identity,
        }  # fmt: skip

        def make(out: Path) -> None:
            say(f"generating {count} pairs with {generator.name}, maps: {maps}")
            synthesize(generator, out=out, resume=True, **options)

        return self.store.run("pairs", content, make)

    def segmenter(
        self,
        name: SegmenterName,
        seed: int,
        strategy: StrategyName = "none",
        synthetic: Sequence[Path] = (),
        classes: Sequence[str] = (),
    ) -> Path:
        """Return a segmenter's run, scored on the test recordings.

        Args:
            seed: of weights, order and augmentation.
            strategy: how pairs or copies join.
            classes: what is copied, for `duplicate`.
        """
        model, training = self.scale.segmenters.model(name), self.scale.segmenters.training(name)
        size = (self.scale.casdm.height, self.scale.casdm.width)
        content = {
            "segmenter": name, "model": asdict(model), "training": asdict(training), "strategy": strategy,
            "synthetic": [path.name for path in synthetic], "classes": list(classes), "seed": seed,
            "size": size, "data": self.identity,
        }  # fmt: skip
        copies = self.scale.pairs if strategy == "duplicate" else None
        if copies is not None:
            content["copies"] = copies

        def make(out: Path) -> None:
            say(f"{name}, {strategy}, {len(synthetic)} sets of pairs, seed {seed}")
            copied = (
                {"duplicate": DuplicateConfig(copies, self.data.scenes.classes.listed(classes))}
                if copies is not None
                else {}
            )
            segment(
                method_for("segmenters", model), model=model, training=training, out=out, strategy=strategy,
                strategies=copied, synthetic=list(synthetic), seed=seed, height=size[0], width=size[1],
                resume=True, **self.options,
            )  # fmt: skip

        run = self.store.run(name, content, make)
        if not (run / METRICS).is_file():
            evaluate(run, data=self.options["data"], quiet=True)
        return run

    @property
    def judge(self) -> SegmenterName:
        """The segmenter that judges images: the one that sees the smallest classes best."""
        names = self.scale.segmenters.names
        return "unet" if "unet" in names else names[0]

    def notes(self) -> tuple[str, ...]:
        """Return what every table of this study must say."""
        casdm = self.scale.casdm
        trained = f"{casdm.training.steps} steps of {casdm.training.batch_size}"
        return (*self.setting(casdm.height, casdm.width), f"Image generators: {trained}, one seed.")

    def targets_in_cells(self, name: SegmenterName, targets: Sequence[str]) -> str:
        """Return how many output cells of a segmenter a target class fills, in the median frame."""
        height, width = self.scale.casdm.height, self.scale.casdm.width
        cache = decode(self.data.scenes, height, width, images=False)
        model = self.scale.segmenters.model(name)
        cell = method_for("segmenters", model).cell(model) ** 2
        sizes = []
        for target, class_id in zip(targets, self.data.scenes.classes.ids_of(targets), strict=True):
            pixels = cache.class_pixels[list(self.data.split.test), class_id]
            shown = pixels[pixels > 0]
            sizes.append(f"{target} {np.median(shown) / cell:.1f}" if len(shown) else f"{target} not shown")
        return f"Output cells of {name} that the median target fills in test frames: {', '.join(sizes)}."


def ablated(config: CasdmConfig, name: Generator) -> CasdmConfig:
    """Return CASDM with the losses of a row of Table 5."""
    off = replace(config.self_perceptual, weight=0.0)
    match name:
        case "plain":
            return replace(config, pixel_loss="plain", self_perceptual=off)
        case "class_aware_mse":
            return replace(config, self_perceptual=off)
        case "class_aware_self_perceptual":
            return replace(config, pixel_loss="plain")
        case _:
            return config
