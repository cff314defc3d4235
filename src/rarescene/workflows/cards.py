"""Cards: the README.md of a run folder and of a synthetic set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rarescene.foundation.files import write_text
from rarescene.foundation.run_record import RunRecord
from rarescene.workflows.prepared import is_phantom

if TYPE_CHECKING:
    from rarescene.reports import Measure, RunScores
    from rarescene.scenes import SceneSet

CARD = "README.md"

METHODS = {"casdm": "CASDM", "sdm": "SDM", "conditional_ddpm": "Conditional DDPM"}
"""The image generators by the kind of their run records, and how cards call them."""

PAIR_METHODS = {"joint_latent": "Joint latent diffusion", "datasetgan": "DatasetGAN"}
"""The generators of pairs, likewise."""

VQGANS = {"image_vqgan": "VQ-GAN of images", "mask_vqgan": "VQ-GAN of masks"}
"""The autoencoders, likewise."""


def write_generator_card(
    folder: Path,
    record: RunRecord,
    parameters: int,
    *,
    name: str | None = None,
    summary: str = "Draws an image for a mask.",
    measures: Sequence[Measure] = (),
) -> None:
    """Write the model card of a generator or autoencoder; by default it bears the folder's name."""
    from rarescene.reports import ModelCard, model_card, provenance

    model = record.config["model"]
    single = {name: value for name, value in model.items() if not isinstance(value, Mapping)}
    card = ModelCard(
        name=name or folder.resolve().name,
        kind=_generator(record.kind),
        summary=summary,
        provenance=provenance([record]),
        phantom=is_phantom(record),
        config=single
        | _flat({name: model[name] for name in ("network", "diffusion", "adversarial") if name in model})
        | model["training"],
        parameters=parameters,
        measures=tuple(measures),
    )
    write_text(folder / CARD, model_card(card))


def write_segmenter_card(
    folder: Path, record: RunRecord, parameters: int, scores: RunScores | None = None
) -> None:
    """Write the model card of a segmenter, with its scores on held-out recordings once it has them."""
    from rarescene.reports import ModelCard, model_card, provenance

    config = record.config
    added = f", {config['synthetic']}" if config["synthetic"] else ""
    if config.get("drawn"):
        added += f", pairs drawn by {config['drawn']['generator']} ({config['generator']}) while it trained"
    size = f"{config['width']}×{config['height']}"
    card = ModelCard(
        name=folder.resolve().name,
        kind=f"{config['segmenter']} segmenter",
        summary=f"Trained with the strategy {config['strategy']}{added}, on images of {size}.",
        provenance=provenance([record]),
        phantom=is_phantom(record),
        config=_flat({"model": config["model"]}) | config["training"],
        parameters=parameters,
        scores=scores,
        limits=() if scores else ("It has not been scored on held-out recordings yet.",),
    )
    write_text(folder / CARD, model_card(card))


def write_set_card(folder: Path, record: RunRecord, trained: RunRecord, pairs: SceneSet) -> None:
    """Write the data card of a synthetic set, given the record of the generator that drew it."""
    from rarescene.reports import DataCard, data_card, provenance

    config, model = record.config, trained.config["model"]
    shown = Counter(
        class_id for index in range(len(pairs)) for class_id in np.unique(pairs.mask(index)).tolist()
    )
    card = DataCard(
        name=folder.resolve().name,
        pairs=len(pairs),
        size=(model["height"], model["width"]),
        generator=f"{config['generator']} ({config['run']}), {how_drawn(config)}",
        masks=_origin(config),
        classes={name: shown[index] for index, name in enumerate(pairs.classes.names)},
        provenance=provenance([trained, record]),
        phantom=is_phantom(record),
    )
    write_text(folder / CARD, data_card(card))


def write_curated_card(
    folder: Path, record: RunRecord, made: RunRecord, pairs: SceneSet, filtered: str
) -> None:
    """Write the data card of a curated set, given the record of the set that its pairs come from."""
    from rarescene.reports import DataCard, data_card, provenance

    config = record.config
    presence = [set(np.unique(pairs.mask(index)).tolist()) for index in range(len(pairs))]
    card = DataCard(
        name=folder.resolve().name,
        pairs=len(pairs),
        size=pairs.mask(0).shape,
        generator=f"{config['generator']}, of the set {config['curation']['of']}",
        masks="the same set",
        classes={
            name: sum(index in shown for shown in presence) for index, name in enumerate(pairs.classes.names)
        },
        provenance=provenance([made, record]),
        phantom=is_phantom(record),
        filtered=f"filtered: {filtered[0].lower()}{filtered[1:].rstrip('.')}",
    )
    write_text(folder / CARD, data_card(card))


def how_drawn(config: Mapping[str, Any]) -> str:
    """Say how the pairs of a set were drawn, given its run's configuration."""
    sampling = config["sampling"]
    return f"{sampling['sampler']} in {sampling['steps']} steps" if "sampler" in sampling else "in one pass"


def _generator(kind: str) -> str:
    if kind in VQGANS:
        return VQGANS[kind]
    if kind in METHODS:
        return f"{METHODS[kind]} image generator"
    return f"{PAIR_METHODS[kind]} pair generator" if kind in PAIR_METHODS else "Map generator"


def _origin(config: Mapping[str, Any]) -> str:
    """Say where the masks of a set come from."""
    if config["generator"] in PAIR_METHODS:
        return f"the same draw, asked for: {config['requests']}"
    if "maps" in config:
        return f"a map generator (weights {config['maps']}), asked for: {config['requests']}"
    return f"the {config['part']} part of {config['masks']}" + (
        ", flipped and rotated" if config["vary"] else ""
    )


def _flat(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()
    }
