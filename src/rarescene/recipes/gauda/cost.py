"""Table 6: what each part costs: training time from the runs themselves, inference timed here, one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rarescene.diffusion import SamplingConfig
from rarescene.foundation.run_record import describe_machine, read_record
from rarescene.recipes.gauda.published import TABLE_6
from rarescene.recipes.gauda.scale import PAPER, SEGMENTERS, TITLES, DataName, SegmenterName
from rarescene.recipes.gauda.study import Cells, GaudaStudy, seeds_of
from rarescene.recipes.outcome import MISSING, NOT_TRAINED, Outcome, Sheet
from rarescene.scenes import pad_images
from rarescene.scenes.data import decode
from rarescene.sources.pair_source import open_pair_source

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SCHEMES = {
    "segmenter, default": PAPER[0],
    "segmenter, adaptive sampling": PAPER[2],
    "segmenter, GAUDA": PAPER[4],
}


@dataclass(frozen=True)
class Cost:
    """What one part costs.

    Attributes:
        examples: scenes that its training steps saw, repetitions included; None where it is not trained.
        seconds: its training; None likewise.
        inference: seconds for a single sample; None where it is not timed.
    """

    examples: int | None = None
    seconds: float | None = None
    inference: float | None = None


def table6(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Table 6: training and inference of every component, and of three ways to train a segmenter."""
    out = Outcome("gauda-table6", scale, "GAUDA, Table 6: what each part costs")
    for data, study in studies.items():
        parts = _generators(study, out) | _datasetgan(study, out)
        cells = {
            (name, scheme): study.cells(name, column)
            for name in SEGMENTERS
            for scheme, column in SCHEMES.items()
        }
        for (name, scheme), found in cells.items():
            if found is not None:
                parts[f"{scheme}, {TITLES[name]}"] = _segmenter(study, name, found)
                out.used(seeds_of(f"{name}, {scheme}", found, f", {data}"))
        out.sheets += [_measured(f"On {study.title}", parts), _added(f"On {study.title}", cells)]
        out.values[data] = {name: vars(cost) for name, cost in parts.items()}
        out.say(*study.titled_notes())
    rows = ((name, _hours(hours), f"{ms:,.0f} ms") for name, (hours, ms) in TABLE_6.items())
    title = "The paper's, averaged over its data sets and segmenters; LDM by DDPM in 1000 steps"
    out.sheets.append(Sheet(title, ("component", "training", "inference"), tuple(rows)))
    machine, timed = describe_machine(), next(iter(studies.values())).scale.timed
    out.say(
        f"Training: seconds of the run's own record, here on {machine['cores']} cores "
        f"({machine['processor']}). Other work on the machine makes them longer, and the runs were not "
        "made side by side: what GAUDA adds is measured by turns, in one process, by "
        "benchmarks/gauda_cost.py.",
        f"Inference: the median of {timed} single samples, generated or predicted one at a time, now and "
        "here; of DDPM one sample. VQ-GANs encode and decode; the LDM's is that of a pair without its "
        "decoding. A posterior of several samples is part of a prediction of PHiSeg.",
        "Examples: scenes in all training steps, repetitions included, of a member in an ensemble. The "
        "paper's column of examples is lost in the text that we have.",
        "Segmenters: means over seeds.",
    )
    return out


def _generators(study: GaudaStudy, out: Outcome) -> dict[str, Cost]:
    """Return the costs of both VQ-GANs, the latent diffusion and the three together."""
    import torch

    from rarescene.generators import JointLatent

    run = study.have(study.joint())
    if run is None:
        return {}
    scale, count = study.scale, study.scale.timed
    parts = (study.image_vqgan(), study.mask_vqgan(), study.joint())
    out.used({one.name.partition("-")[0]: one.path for one in parts})
    images, masks = _scenes(study, count)
    generator = JointLatent.load(run / "model")
    generator.to(_device())
    codec = generator.codec
    with torch.inference_mode():
        through_images = _seconds(
            count, lambda i: codec.images.decode(codec.images.encode(images[i : i + 1]))
        )
        through_masks = _seconds(count, lambda i: codec.masks.decode(codec.masks.encode(masks[i : i + 1])))
        z = codec.encode(images[:1], masks[:1])
        decoding = _seconds(count, lambda i: codec.decode(z, *scale.size))
    whole = _generating(study, run, count, steps=scale.sampling.steps, sampler=scale.sampling.sampler)
    all_steps = scale.joint.diffusion.timesteps
    slow = _generating(study, run, 1, steps=all_steps, sampler="ddpm")
    return {
        "image VQ-GAN": _trained(study.image_vqgan().path, through_images),
        "mask VQ-GAN": _trained(study.mask_vqgan().path, through_masks),
        f"LDM, {scale.sampling.sampler} {scale.sampling.steps}": _trained(run, whole - decoding),
        f"full model, {scale.sampling.sampler} {scale.sampling.steps}": Cost(inference=whole),
        f"full model, ddpm {all_steps} as in the paper": Cost(inference=slow),
    }


def _datasetgan(study: GaudaStudy, out: Outcome) -> dict[str, Cost]:
    """Return the costs of the parts of DatasetGAN: images, latents of images, labels and the whole."""
    import torch

    from rarescene.generators import DatasetGan
    from rarescene.networks import StyleGan2Encoder

    run = study.have(study.datasetgan())
    if run is None:
        return {}
    out.used({"datasetgan": run})
    count, model = study.scale.timed, study.scale.datasetgan
    images, _ = _scenes(study, count)
    generator = DatasetGan.load(run / "model").to(_device())
    network = generator.network
    # What an encoder costs does not depend on its weights.
    encoder = StyleGan2Encoder(model.network, *network.size, network.mean_w).to(_device()).eval()
    latents = network.spread(network.mean_w[None])
    padded = pad_images(images, model.network.stride)
    with torch.inference_mode():
        generating = _seconds(count, lambda i: network(latents))
        encoding = _seconds(count, lambda i: encoder(padded[i : i + 1]))
        both = _seconds(count, lambda i: generator.pairs_of(latents))
    asked = _generating(study, run, count)
    metrics = read_record(run).metrics
    of = {stage: metrics[f"{stage}_seconds"] for stage in ("stylegan2", "encoder", "refinement", "label")}
    seen, labelled = model.encoder.training, model.labels.training
    return {
        "StyleGAN2": Cost(model.training.steps * model.training.batch_size, of["stylegan2"], generating),
        "StyleGAN encoder": Cost(seen.steps * seen.batch_size, of["encoder"], encoding),
        "refined latents": Cost(model.refinement.frames, of["refinement"]),
        "DatasetGAN, label branch": Cost(
            round(metrics["label_step"]) * labelled.batch_size, of["label"], both
        ),
        "DatasetGAN, a pair that was asked for": Cost(inference=asked),
    }  # fmt: skip


def _segmenter(study: GaudaStudy, name: SegmenterName, cells: Cells) -> Cost:
    """Return the cost of one way to train a segmenter, and of a prediction."""
    import torch

    from rarescene.segmenters import load_segmenter

    training, count = study.scale.segmenters.training(name), study.scale.timed
    network, _ = load_segmenter(next(iter(cells.values())) / "model")
    network.to(_device())
    images, _ = _scenes(study, count)
    with torch.inference_mode():
        predicting = _seconds(count, lambda i: network.predict(images[i : i + 1]))
    return Cost(training.steps * training.batch_size, _trained_for(cells) / len(cells), predicting)


def _trained_for(cells: Cells) -> float:
    """Return the seconds that all seeds of a column were trained for."""
    return sum(read_record(run).seconds or 0.0 for run in cells.values())


def _generating(
    study: GaudaStudy, run: Path, count: int, *, steps: int | None = None, sampler: Any = None
) -> float:
    """Return the seconds of a pair for a request as the training masks have them; a GAN takes no steps."""
    sampling = SamplingConfig(block=1)
    if steps is not None:
        sampling = replace(study.scale.sampling, block=1, steps=steps, sampler=sampler)
    source = open_pair_source(run, sampling=sampling)
    requests = [source.pool.sample(0, index) for index in range(count)]
    return _seconds(count, lambda i: source.generate([requests[i]], [i]), warm=count > 1)


def _seconds(count: int, act: Callable[[int], object], *, warm: bool = True) -> float:
    """Return the median of the seconds that `act(0)` to `act(count - 1)` take, after a warm-up."""
    if warm:
        act(0)
    times = []
    for index in range(count):
        began = _now()
        act(index)
        times.append(_now() - began)
    return median(times)


def _now() -> float:
    """Return the time at which a GPU has done all that it was given: a call comes back before that."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _scenes(study: GaudaStudy, count: int) -> tuple[Tensor, Tensor]:
    """Return the first training images and masks as tensors, on the device."""
    from rarescene.training import to_images, to_masks

    train = study.data.scenes.subset(study.data.split.train)
    cache = decode(train, *study.scale.size)
    pixels, ids = cache.take([index % len(cache) for index in range(count)])
    return to_images(pixels).to(_device()), to_masks(ids).to(_device())


def _device() -> torch.device:
    from rarescene.training import this_rank

    return this_rank().device


def _trained(run: Path, inference: float) -> Cost:
    record = read_record(run)
    training = record.config["model"]["training"]
    return Cost(training["steps"] * training["batch_size"], record.seconds, inference)


def _hours(hours: float | None) -> str:
    return MISSING if hours is None else f"{hours:g} h"


def _measured(title: str, parts: Mapping[str, Cost]) -> Sheet:
    rows = []
    for name, cost in parts.items():
        examples = MISSING if cost.examples is None else f"{cost.examples:,}"
        seconds = MISSING if cost.seconds is None else f"{cost.seconds:,.0f} s"
        inference = MISSING if cost.inference is None else f"{1000 * cost.inference:,.1f} ms"
        rows.append((name, examples, seconds, inference))
    heads = ("component", "examples", "training", "inference")
    return Sheet(f"{title}: training, and inference of a single sample", heads, tuple(rows))


def _added(title: str, cells: Mapping[tuple[SegmenterName, str], Cells | None]) -> Sheet:
    """Return what the schemes add to the default training, seed by seed averaged, beside the paper's."""
    rows: list[tuple[str, str, str]] = []
    default, *schemes = SCHEMES
    for scheme in schemes:
        entries = []
        for name in SEGMENTERS:
            pair = cells[name, scheme], cells[name, default]
            if pair[0] is None or pair[1] is None:
                entries.append(f"{TITLES[name]} {NOT_TRAINED}")
                continue
            took, plain = (_trained_for(one or {}) for one in pair)
            entries.append(f"{TITLES[name]} {_signed(took / plain - 1)}" if plain else MISSING)
        hours, usual = TABLE_6[scheme][0], TABLE_6[default][0]
        printed = MISSING if hours is None or usual is None else _signed(hours / usual - 1)
        rows.append((scheme, "; ".join(entries), printed))
    heads = ("scheme", "ours", "the paper's")
    return Sheet(f"{title}: training time added at equal steps", heads, tuple(rows))


def _signed(share: float) -> str:
    return f"{share:+.0%}".replace("-", "−")
