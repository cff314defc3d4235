"""Simple Copy-Paste (Ghiasi et al. 2021) of rare classes: their pixels in other scenes, where they may be.

It needs no generator. What it pastes, and where, is decided as for regions that a generator draws
(`sources.composition`), so that the two differ in the pixels alone: it is their honest opponent.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np
import torch

from rarescene.augmentation.base import FixedStrategy
from rarescene.foundation.configs import Settings, Share
from rarescene.foundation.console import say_once
from rarescene.foundation.methods import StrategyMethod, Surroundings
from rarescene.foundation.protocols import Batch
from rarescene.foundation.seeds import derive_seed
from rarescene.sources.composition import Composer, CompositionConfig


@dataclass(frozen=True)
class PasteConfig(Settings, section="paste"):
    """Rare classes pasted into the scenes of each batch.

    Attributes:
        classes: comma-separated; by default those that the statistics of the training recordings call rare.
        probability: chance that a region is pasted into a scene.
        composition: where it may be.
    """

    classes: str = ""
    probability: Share = 0.5
    composition: CompositionConfig = field(default_factory=CompositionConfig)


class Paste(FixedStrategy):
    """Pastes regions of rare classes into scenes of a batch, each class as often.

    Args:
        config: which, and how often.
        composer: finds regions and places in the training scenes.
    """

    def __init__(self, config: PasteConfig, composer: Composer) -> None:
        super().__init__(strategy="paste", **asdict(config), inserted=list(composer.classes))
        self.config, self.composer = config, composer

    def mix(self, batch: Batch) -> Batch:
        """Return the batch with a region in some of its scenes, decided by each scene's own seed.

        A scene in which no plausible place is found stays as it is.
        """
        from rarescene.training import to_images, to_masks, to_pixels

        images, masks = batch.images.clone(), batch.masks.clone()
        classes, scenes = self.composer.classes, self.composer.scenes
        for place, seed in enumerate(batch.seeds):
            random = np.random.default_rng(derive_seed(seed, "paste"))
            chance, choice = random.random(2)
            if chance >= self.config.probability:
                continue
            mask = masks[place].cpu().numpy().astype(np.uint8)
            found = self.composer.place(mask, classes[int(choice * len(classes))], seed)
            if found is not None:
                (source,), _ = scenes.take([found.source.scene])
                image = found.pasted(to_pixels(images[place : place + 1])[0], source)
                region = torch.from_numpy(found.region).to(images.device)
                fresh = to_images(image[None])[0].to(images)
                images[place] = torch.where(region, fresh, images[place])
                masks[place] = to_masks(found.composed(mask)).to(masks)
        return Batch(images, masks, batch.seeds)


def _build(config: PasteConfig, around: Surroundings) -> Paste:
    """Paste what is named, or else what is rare in the training recordings alone.

    Raises:
        ConfigError: a class is not known, or none is named and none is rare.
        DataError: no training scene shows a class that is named.
    """
    table = around.table
    real = around.scenes.caches[0].subset(around.train)
    composer = Composer(real, table.ids_in(config.classes), config.composition)
    names = ", ".join(table.names[class_id] for class_id in composer.classes)
    above = ", ".join(table.names[class_id] for class_id in composer.on_top) or "nothing"
    say_once(f"pasted are regions of {names}; on top stays {above}")
    return Paste(config, composer)


PASTE = StrategyMethod(
    name="paste",
    summary="regions of rare classes pasted into other training scenes",
    config=PasteConfig,
    build=_build,
)
