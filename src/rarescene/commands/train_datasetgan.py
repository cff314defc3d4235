"""`rarescene train datasetgan`: StyleGAN2, an encoder, refined latents and a label branch, each timed."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rarescene.foundation.console import progress, say
from rarescene.foundation.files import atomic, read_json, write_json
from rarescene.foundation.run_folder import fresh_folder, same_run
from rarescene.foundation.run_record import RunRecord
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.datasetgan_config import DatasetGanConfig
from rarescene.reports.cards import write_generator_card
from rarescene.scenes.data import decode, open_data
from rarescene.sources.requests import REQUESTS
from rarescene.training.ranks import accelerator, is_main_process, processes

if TYPE_CHECKING:
    from torch import Tensor

    from rarescene.generators import DatasetGan
    from rarescene.networks import StyleGan2Encoder, StyleGan2Generator
    from rarescene.scenes import ClassTable, SceneCache
    from rarescene.training import SceneBatches, TrainingConfig

STAGE, SHEET = "stage.json", "samples.png"
FRAMES = "frames.json"
SHOWN = 8
"""Rows of the picture of samples."""


def train_datasetgan(
    *,
    data: str,
    out: Path,
    model: DatasetGanConfig = DatasetGanConfig(),  # noqa: B008 - frozen
    split: str = "recording",
    fractions: tuple[float, float, float] | None = None,
    split_seed: int = 0,
    group_by: str | None = None,
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Train DatasetGAN, a baseline that draws pairs, on the training recordings of a data set.

    StyleGAN2 and the encoder see images alone; the label branch sees the masks of a few frames. Each has a
    folder of its own in OUT, with its log and checkpoints.
    `torchrun --nproc_per_node N -m rarescene.cli train datasetgan …` trains on N devices.

    Args:
        data: NAME:PATH or a YAML file.
        out: folder of the run.
        model: sizes and training; `--config datasetgan-paper|datasetgan-small|datasetgan-tiny` gives sensible
            ones.
        split: "recording", "time", "cholecseg8k", "cadis", "fold1" to "fold3" (SISVSE), "casdm", "gauda", or
            a file that lists the recordings of each part.
        fractions: shares of training, validation and test; by default those that suit the split.
        split_seed: seed of the split; keep it the same for all runs that are compared.
        group_by: regular expression whose first group tells the recordings of a folder apart.
        seed: seed of weights, order, augmentation, latents and the choice of frames.
        resume: go on from the newest checkpoint in OUT.
    """
    from rarescene.generators import DatasetGan
    from rarescene.scenes import RequestPool

    main = is_main_process()
    if main:
        fresh_folder(out, resume, "training")
    source = open_data(data, split, split_seed, fractions, group_by)
    table = source.scenes.classes
    record = RunRecord.begin(
        kind=DatasetGan.name,
        config={"model": asdict(model)},
        seed=seed,
        provenance=source.provenance(),
        class_table=table.to_dict(),
        accelerator=accelerator(),
        processes=processes(),
    )
    if resume:
        same_run(out, record)

    train = source.scenes.subset(source.split.train)
    cache = decode(train, model.height, model.width)
    if main:
        record.write(out)
        pool = RequestPool.of_masks(cache.take_masks(range(len(cache))), table)
        write_json(out / REQUESTS, pool.to_dict(table))
        say(f"{len(train)} scenes of {len(train.groups)} recordings, {len(pool)} different requests")
    run = _Run(out, model, cache, table, seed, resume)
    network = _train_stylegan2(run)
    encoder = _train_encoder(run, network)
    frames, latents = _refine_latents(run, network, encoder)
    generator = _train_labels(run, network, frames, latents)
    if main:
        generator.save(out / "model")
        _write_sheet(out / SHEET, run, generator, frames, latents)
        size = sum(
            weight.numel() for part in (generator.network, generator.labels) for weight in part.parameters()
        )
        ended = record.end(out, sum(run.seconds.values()), run.metrics)
        write_generator_card(
            out,
            ended,
            size,
            summary="Draws an image and its mask at once, without a condition: for a request it draws until "
            f"the classes asked for are shown, {model.tries} times at most. Its masks were learned from "
            f"{len(frames)} annotated frames.",
        )
        say(
            f"trained in {sum(run.seconds.values()) / 60:.1f} min ("
            + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in run.seconds.items())
            + f"); weights in {out / 'model'}, samples in {out / SHEET}"
        )


@dataclass
class _Run:
    """What all stages share, and the figures that each leaves."""

    out: Path
    model: DatasetGanConfig
    cache: SceneCache
    table: ClassTable
    seed: int
    resume: bool

    def __post_init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.seconds: dict[str, float] = {}

    def begin(self, stage: str, behind: Iterable[Tensor] = ()) -> Path:
        """Return a stage's folder, cleared where it was made from other tensors than those behind it now."""
        from rarescene.training import this_rank

        folder, of = self.out / stage, _fingerprint(behind)
        if is_main_process():
            known = read_json(folder / STAGE) if (folder / STAGE).is_file() else {}
            if folder.is_dir() and known.get("of") != of:
                say(f"{folder} belongs to other weights and is made again")
                shutil.rmtree(folder)
            if known.get("of") != of:
                write_json(folder / STAGE, {"of": of})
        this_rank().wait_for_everyone()
        return folder

    def end(self, stage: str, seconds: float, metrics: Mapping[str, float]) -> None:
        """Note a stage's figures; its seconds are those of all processes that worked on it."""
        self.seconds[stage] = round(seconds, 2)
        self.metrics |= {f"{stage}_{name}": value for name, value in metrics.items()}
        self.metrics[f"{stage}_seconds"] = self.seconds[stage]

    def batches(self, training: TrainingConfig, seed: int) -> SceneBatches:
        """Return batches of the training scenes, augmented."""
        from rarescene.scenes import augment
        from rarescene.training import SceneBatches

        return SceneBatches(
            self.cache.take,
            range(len(self.cache)),
            training.batch_size,
            seed,
            augment=lambda images, masks, seeds: augment(
                images, masks, seeds, self.model.augment, ignore_index=self.table.ignore_index
            ),
        )


def _train_stylegan2(run: _Run) -> StyleGan2Generator:
    """Train StyleGAN2 on the images and return the average of its generator."""
    from rarescene.generators import StyleGan2Learner, measure_latents
    from rarescene.training import fit

    training, learner = run.model.training, StyleGan2Learner(run.model, run.seed)
    if is_main_process():
        sizes = [
            sum(w.numel() for w in part.parameters()) / 1e6
            for part in (learner.network, learner.discriminator)
        ]
        say(f"StyleGAN2: generator {sizes[0]:.1f} M, discriminator {sizes[1]:.1f} M parameters")
    folder = run.begin("stylegan2")
    batches = run.batches(training, run.seed)
    fitted = fit(learner, batches, training, folder, seed=run.seed, resume=run.resume, label="StyleGAN2")
    network: StyleGan2Generator = fitted.average  # type: ignore[assignment]
    measure_latents(network, run.seed)
    run.end("stylegan2", fitted.seconds, fitted.metrics)
    return network


def _train_encoder(run: _Run, network: StyleGan2Generator) -> StyleGan2Encoder:
    """Train the encoder of a generator, and return its average."""
    from rarescene.generators import LatentEncoderLearner
    from rarescene.training import fit

    folder, training = run.begin("encoder", network.parameters()), run.model.encoder.training
    learner, seed = LatentEncoderLearner(run.model, network, run.seed), derive_seed(run.seed, "encoder")
    batches = run.batches(training, seed)
    fitted = fit(learner, batches, training, folder, seed=seed, resume=run.resume, label="encoder")
    run.end("encoder", fitted.seconds, fitted.metrics)
    return fitted.average  # type: ignore[return-value]


def _refine_latents(
    run: _Run, network: StyleGan2Generator, encoder: StyleGan2Encoder
) -> tuple[list[int], Tensor]:
    """Return the annotated frames and their latents; blocks of frames that were refined before are kept."""
    import torch

    from rarescene.generators import PerceptualDistance, choose_frames, refine
    from rarescene.scenes import pad_images
    from rarescene.training import load_tensors, save_tensors, this_rank, to_images

    options, cache, device = run.model.refinement, run.cache, this_rank().device
    folder = run.begin("refinement", [*network.parameters(), *encoder.parameters()])
    frames = choose_frames(cache.class_pixels, cache.recordings, options.frames, run.seed)
    network.to(device).eval()
    encoder.to(device).eval()
    distance = PerceptualDistance(run.model.encoder.feature_size)
    noted = read_json(folder / STAGE)
    began, found, errors = time.perf_counter() - noted.get("seconds", 0.0), [], []
    with progress("refining latents") as advance:
        for first in range(0, len(frames), options.block):
            block, path = frames[first : first + options.block], folder / f"latents_{first:04d}.safetensors"
            images = pad_images(to_images(cache.take(block)[0]), run.model.network.stride).to(device)
            with torch.no_grad():
                start = encoder(images)
            if path.is_file():
                latents = load_tensors(path)["latents"].to(device)
            else:
                latents = refine(network, images, start, options, distance)
                if is_main_process():
                    save_tensors({"latents": latents}, path)
                    write_json(folder / STAGE, {**noted, "seconds": round(time.perf_counter() - began, 2)})
            with torch.no_grad():
                errors.append(
                    torch.stack([(network(w) - images).square().mean((1, 2, 3)) for w in (start, latents)])
                )
            found.append(latents)
            advance(first + len(block), len(frames))
    if is_main_process():
        write_json(folder / FRAMES, {"frames": [cache.records[index].name for index in frames]})
    before, after = torch.cat(errors, dim=1).mean(dim=1).tolist()
    run.end("refinement", time.perf_counter() - began, {"mse": after, "mse_of_encoder": before})
    return frames, torch.cat(found)


def _train_labels(run: _Run, network: StyleGan2Generator, frames: list[int], latents: Tensor) -> DatasetGan:
    """Train the label branch on the annotated frames, and return the whole generator."""
    from rarescene.generators import DatasetGan, LabelBranchLearner, train_labels
    from rarescene.training import to_masks

    options, table = run.model.labels, run.table
    masks = to_masks(run.cache.take_masks(frames))
    folder = run.begin("label", [*network.parameters(), latents])

    def make() -> LabelBranchLearner:
        return LabelBranchLearner(
            options, network, latents, masks,
            classes=len(table), ignore_index=table.ignore_index, seed=run.seed,
        )  # fmt: skip

    seed = derive_seed(run.seed, "labels")
    fitted = train_labels(make, options, folder, seed=seed, resume=run.resume)
    run.end("label", fitted.seconds, fitted.metrics)
    return DatasetGan(network, fitted.average, run.model, table)  # type: ignore[arg-type]


def _fingerprint(tensors: Iterable[Tensor]) -> str:
    """Return a short hash of tensors: what was learned from them is of use with these alone."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _write_sheet(
    path: Path, run: _Run, generator: DatasetGan, frames: Sequence[int], latents: Tensor
) -> None:
    """Write a picture: annotated frames beside what the generator makes of their latents, and drawn pairs."""
    from rarescene.reports import contact_sheet
    from rarescene.training import to_pixels

    colourise, count = run.table.colourise, min(SHOWN, len(frames))
    shown = [round(place * (len(frames) - 1) / max(1, count - 1)) for place in range(count)]
    images, masks = run.cache.take([frames[place] for place in shown])
    generator.to(latents.device)
    again = generator.pairs_of(latents[shown])
    drawn = generator.draw([derive_seed(run.seed, "sheet", place) for place in range(2 * count)])
    (again_images, again_masks), (drawn_images, drawn_masks) = (
        (to_pixels(pairs.images), colourise(pairs.masks.cpu().numpy())) for pairs in (again, drawn)
    )
    rows = [
        [
            images[row], colourise(masks[row]), again_images[row], again_masks[row],
            drawn_images[row], drawn_masks[row], drawn_images[row + count], drawn_masks[row + count],
        ]
        for row in range(count)
    ]  # fmt: skip
    titles = ("frame", "its mask", "reconstruction", "labels there", *("drawn", "its mask") * 2)
    with atomic(path) as temporary:
        contact_sheet(rows, titles, side=128, flat=(1, 3, 5, 7)).save(temporary, "PNG")
