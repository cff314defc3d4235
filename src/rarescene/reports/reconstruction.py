"""How well a VQ-GAN gives back what it encodes: scores, a picture, and the lines of its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rarescene.foundation.console import progress, say, show
from rarescene.foundation.files import write_json
from rarescene.reports.gallery import contact_sheet, representative, write_picture
from rarescene.reports.realism import Measure
from rarescene.scenes.data import decode

if TYPE_CHECKING:
    from rarescene.evaluation import MapReconstruction
    from rarescene.generators import ImageVqGan, MaskVqGan
    from rarescene.scenes import SceneCache
    from rarescene.scenes.data import Data

SCORES, PICTURE = "reconstruction.json", "reconstruction.png"
MOST = 2048
"""Scenes that are reconstructed at most, evenly spread over the part."""
_BATCH = 16
_SHOWN = 10


def judged_scenes(source: Data, height: int, width: int, *, images: bool) -> tuple[str, SceneCache]:
    """Return the scenes that reconstruction is judged on: validation, or training where there is none."""
    part = "validation" if source.split.validation else "train"
    everything = source.part(part)
    places = np.unique(np.linspace(0, len(everything) - 1, min(MOST, len(everything))).round().astype(int))
    return part, decode(
        source.scenes.subset([everything[place] for place in places]), height, width, images=images
    )


def judge_images(out: Path, vqgan: ImageVqGan, part: str, cache: SceneCache) -> tuple[Measure, ...]:
    """Reconstruct images, write scores and a picture into OUT, print them, and return them for the card."""
    from rarescene.evaluation import realism_scores
    from rarescene.scenes import cut_back, pad_images
    from rarescene.training import to_images, to_pixels

    decoded, codes = np.empty((len(cache), *cache.size, 3), np.uint8), []
    with progress("reconstructing") as advance:
        for start in range(0, len(cache), _BATCH):
            pixels, _ = cache.take(range(start, min(start + _BATCH, len(cache))))
            latents = vqgan.encode(pad_images(to_images(pixels), vqgan.factor))
            codes.append(vqgan.codes(latents).cpu().flatten())
            decoded[start : start + len(pixels)] = to_pixels(cut_back(vqgan.decode(latents), *cache.size))
            advance(start + len(pixels), len(cache))
    real, masks = cache.take(range(len(cache)))
    error = np.abs(decoded.astype(np.float32) - real).mean(axis=3) / 255  # (N, H, W)
    of_classes = {
        name: float(error[masks == index].mean()) if (masks == index).any() else None
        for index, name in enumerate(cache.classes.names)
    }
    found: dict[str, Any] = {
        "part": part, "scenes": len(cache), "l1": float(error.mean()), "l1_of_classes": of_classes,
        **_codebook(codes, vqgan.config.network.codes),
    }  # fmt: skip
    note = f"{len(cache)} scenes of the {part} part, encoded and decoded"
    measures = [Measure("L1, shares of the range", found["l1"], "lower", note=note)]
    if len(cache) > 1:
        scores = realism_scores(
            (to_images(real[start : start + _BATCH]) for start in range(0, len(real), _BATCH)),
            (to_images(decoded[start : start + _BATCH]) for start in range(0, len(real), _BATCH)),
            groups=cache.recordings,
        )
        found |= scores.to_dict()
        for name, score in (("PSNR, dB", scores.psnr), ("MS-SSIM", scores.ms_ssim)):
            if score is not None:
                measures.append(Measure(name, score.mean, "higher", note=note))
        distance = scores.distances[0]
        measures.append(Measure(distance.frechet_name, distance.frechet, "lower", note=note))
    measures.append(_perplexity(found, note))
    _write(out, found, cache, real, decoded, measures, flat=False)
    worst = sorted((value, name) for name, value in of_classes.items() if value is not None)[-3:]
    say("L1 is greatest in: " + ", ".join(f"{name} {value:.3f}" for value, name in reversed(worst)))
    return tuple(measures)


def judge_masks(out: Path, vqgan: MaskVqGan, part: str, cache: SceneCache) -> tuple[Measure, ...]:
    """Reconstruct masks, write scores and a picture into OUT, print them, and return them for the card."""
    from rarescene.evaluation import ReconstructionMeter
    from rarescene.scenes import cut_back, pad_masks
    from rarescene.training import to_masks

    table = cache.classes
    meter = ReconstructionMeter(table.names, table.ignore_index)
    masks, found_ids, codes = cache.take_masks(range(len(cache))), [], []
    with progress("reconstructing") as advance:
        for start in range(0, len(cache), _BATCH):
            given = masks[start : start + _BATCH]
            latents = vqgan.encode(pad_masks(to_masks(given), vqgan.factor, table.ignore_index))
            codes.append(vqgan.codes(latents).cpu().flatten())
            ids = cut_back(vqgan.decode(latents).argmax(1), *cache.size).cpu().numpy().astype(np.uint8)
            meter.update(ids, given)
            found_ids.append(ids)
            advance(start + len(given), len(cache))
    result = meter.result()
    found = {"part": part, **result.to_dict(), **_codebook(codes, vqgan.config.network.codes)}
    note = f"{result.scenes} masks of the {part} part, encoded and decoded"
    thin = f"{result.thin_pixels} pixels of {note}" if result.thin_pixels else "no thin region in these masks"
    shown = [entry for entry in result.classes if entry.iou is not None]
    worst = min(shown, key=lambda entry: entry.iou or 0.0)
    measures = (
        Measure("IoU, mean of the classes", result.label_mean, "higher", note=note),
        Measure(f"IoU, worst class: {worst.name}", worst.iou, "higher", note=note),
        Measure("classes still shown, share", result.kept, "higher", note=note),
        Measure("recall of regions one or two pixels wide", result.thin_recall, "higher", note=thin),
        _perplexity(found, note),
    )
    originals, decoded = (table.colourise(ids) for ids in (masks, np.concatenate(found_ids)))
    _print_classes(result)
    _write(out, found, cache, originals, decoded, measures, flat=True)
    return measures


def _codebook(codes: Sequence[Any], length: int) -> dict[str, float]:
    """Return how varied the codes are and which share of the codebook these scenes use."""
    import torch

    from rarescene.generators import perplexity

    counts = torch.bincount(torch.cat(list(codes)), minlength=length)
    return {"perplexity": float(perplexity(counts)), "codes_in_use": float((counts > 0).float().mean())}


def _perplexity(found: dict[str, Any], note: str) -> Measure:
    used = f"{found['codes_in_use']:.0%} of the codes are used by {note}"
    return Measure("perplexity of the codes", found["perplexity"], "neither", note=used)


def _write(
    out: Path,
    found: dict[str, Any],
    cache: SceneCache,
    originals: np.ndarray,
    reconstructed: np.ndarray,
    measures: Sequence[Measure],
    flat: bool,
) -> None:
    """Write scores and pictures into OUT and print the measures.

    The picture has originals beside reconstructions, of scenes that show the classes in turn, rarest first.
    """
    write_json(out / SCORES, found)
    rarest_first = np.argsort((cache.class_pixels > 0).mean(axis=0), kind="stable").tolist()
    chosen = representative(cache.class_pixels, rarest_first, _SHOWN)
    pairs = [[originals[index], reconstructed[index]] for index in chosen]
    rows = [one + other for one, other in zip(pairs[::2], pairs[1::2] or [[]], strict=False)] or pairs
    columns = max(map(len, rows), default=0)
    labels = (("original", "reconstructed") * 2)[:columns]
    sheet = contact_sheet(rows, labels, flat=range(4) if flat else ())
    write_picture(out / PICTURE, sheet)
    for one in measures:
        value = "not measured" if one.value is None else f"{one.value:.3f}"
        say(f"{one.name}: {value}   ({one.note})")


def _print_classes(result: MapReconstruction) -> None:
    from rich.table import Table

    table = Table("class", "IoU", "still shown", "thin pixels kept", title="masks, encoded and decoded")
    for entry in result.classes:
        if entry.iou is not None and entry.kept is not None:
            thin = "" if entry.thin_recall is None else f"{entry.thin_recall:.1%} of {entry.thin_pixels}"
            table.add_row(entry.name, f"{entry.iou:.1%}", f"{entry.kept:.1%} of {entry.scenes}", thin)
    show(table)
