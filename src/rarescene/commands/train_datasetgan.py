"""`rarescene train datasetgan`: StyleGAN2, an encoder, refined latents and a label branch, each timed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarescene.commands.training_run import TrainingRun, parameters_of
from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.console import progress, say
from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.files import atomic, read_json, write_json
from rarescene.foundation.outputs import writes_folder
from rarescene.foundation.run_record import RECORD
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.datasetgan_config import DatasetGanConfig

if TYPE_CHECKING:
    from torch import Tensor

    from rarescene.generators import DatasetGan
    from rarescene.networks import StyleGan2Encoder, StyleGan2Generator
    from rarescene.scenes import SceneCache
    from rarescene.training import Fitted, Learner, TrainingConfig

STAGE, SHEET = "stage.json", "samples.png"
FRAMES = "frames.json"
SHOWN = 8
"""Rows of the picture of samples."""


@takes_text_for_paths
@writes_folder("training", "datasetgan")
def train_datasetgan(
    *,
    model: DatasetGanConfig = DatasetGanConfig(),  # noqa: B008 - frozen
    **options: Any,
) -> None:
    """Train DatasetGAN, a baseline that samples pairs, on the training recordings of a data set.

    StyleGAN2 and the encoder see images alone; the label branch sees the masks of a few frames. Each has a
    folder of its own in OUT, with its log and checkpoints.
    `torchrun --nproc_per_node N -m rarescene.cli train datasetgan …` trains on N devices.

    Args:
        model: sizes and training; `--config datasetgan-paper|datasetgan-small|datasetgan-tiny` gives sensible
            ones.
        **options: those of every training.
    """
    from rarescene.generators import DatasetGan
    from rarescene.scenes import RequestPool

    run = TrainingRun(**options)
    run.begin(DatasetGan.name, {"model": asdict(model)})
    scenes = run.decode(model.height, model.width)
    pool = RequestPool.of_masks(scenes.take_masks(range(len(scenes))), run.table)
    run.start(
        f"{len(run.train)} scenes of {len(run.train.groups)} recordings, {len(pool)} different requests",
        pool,
    )
    if not (run.out / RECORD).is_file():
        run.write_record()  # before the folders of the stages
    stages = _Stages(run, model, scenes)
    network = _train_stylegan2(stages)
    encoder = _train_encoder(stages, network)
    frames, latents = _refine_latents(stages, network, encoder)
    generator = _train_labels(stages, network, frames, latents)
    if run.main:
        generator.save(run.out / "model")
        _write_sheet(run.out / SHEET, stages, generator, frames, latents)
        summary = (
            "Generates an image and its mask at once, without a condition: for a request it tries until "
            f"the classes asked for are shown, {model.tries} times at most. Its masks were learned from "
            f"{len(frames)} annotated frames."
        )
        size = parameters_of(generator.network, generator.labels)
        run.end(summary, size, sum(stages.seconds.values()), stages.metrics)
        each = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in stages.seconds.items())
        say(f"of it {each}; samples in {run.out / SHEET}")


@dataclass
class _Stages:
    """What all stages share, and the metrics and seconds that each leaves."""

    run: TrainingRun
    model: DatasetGanConfig
    scenes: SceneCache

    def __post_init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.seconds: dict[str, float] = {}

    def begin(self, stage: str, behind: Iterable[Tensor] = ()) -> Path:
        """Return a stage's folder, cleared where it was made from other tensors than those behind it now."""
        from rarescene.training import this_rank
        from rarescene.training.checkpoints import remove_checkpoints

        folder, of = self.run.out / stage, _fingerprint(behind)
        if self.run.main:
            known = _noted(folder) if (folder / STAGE).is_file() else {}
            if known and known.get("of") != of:
                say(f"{folder} belongs to other weights and is made again")
                remove_checkpoints(folder / "checkpoints")
                for latents in folder.glob("latents_*.safetensors*"):
                    latents.unlink()
            if known.get("of") != of:
                write_json(folder / STAGE, {"of": of})
        this_rank().wait_for_everyone()
        return folder

    def end(self, stage: str, seconds: float, metrics: Mapping[str, float]) -> None:
        """Note a stage's numbers; its seconds are those of all processes that worked on it."""
        self.seconds[stage] = round(seconds, 2)
        self.metrics |= {f"{stage}_{name}": value for name, value in metrics.items()}
        self.metrics[f"{stage}_seconds"] = self.seconds[stage]

    def fit(self, learner: Learner, training: TrainingConfig, folder: Path, seed: int, label: str) -> Fitted:
        """Train a stage on the scenes in its folder."""
        from rarescene.training import fit

        batches = self.run.batches(self.scenes, training, self.model.augment, seed=seed)
        return fit(
            learner,
            batches,
            training,
            folder,
            seed=seed,
            resume=self.run.resume,
            label=label,
            ready=self.run.write_record,
        )


def _train_stylegan2(stages: _Stages) -> StyleGan2Generator:
    """Train StyleGAN2 on the images and return the average of its generator."""
    from rarescene.generators import StyleGan2Learner, measure_latents

    training, seed = stages.model.training, stages.run.seed
    learner = StyleGan2Learner(stages.model, seed)
    if stages.run.main:
        sizes = [parameters_of(part) / 1e6 for part in (learner.network, learner.discriminator)]
        say(f"StyleGAN2: generator {sizes[0]:.1f} M, discriminator {sizes[1]:.1f} M parameters")
    folder = stages.begin("stylegan2")
    fitted = stages.fit(learner, training, folder, seed, "StyleGAN2")
    network: StyleGan2Generator = fitted.average  # type: ignore[assignment]
    measure_latents(network, seed)
    stages.end("stylegan2", fitted.seconds, fitted.metrics)
    return network


def _train_encoder(stages: _Stages, network: StyleGan2Generator) -> StyleGan2Encoder:
    """Train the encoder of a generator, and return its average."""
    from rarescene.generators import LatentEncoderLearner

    folder, training = stages.begin("encoder", network.parameters()), stages.model.encoder.training
    learner = LatentEncoderLearner(stages.model, network, stages.run.seed)
    seed = derive_seed(stages.run.seed, "encoder")
    fitted = stages.fit(learner, training, folder, seed, "encoder")
    stages.end("encoder", fitted.seconds, fitted.metrics)
    return fitted.average  # type: ignore[return-value]


def _refine_latents(
    stages: _Stages, network: StyleGan2Generator, encoder: StyleGan2Encoder
) -> tuple[list[int], Tensor]:
    """Return the annotated frames and their latents; blocks of frames that were refined before are kept."""
    import torch

    from rarescene.generators import PerceptualDistance, choose_frames, refine
    from rarescene.scenes import pad_images
    from rarescene.training import load_tensors, save_tensors, saved, this_rank, to_images

    options, cache, device = stages.model.refinement, stages.scenes, this_rank().device
    folder = stages.begin("refinement", [*network.parameters(), *encoder.parameters()])
    frames = choose_frames(cache.class_pixels, cache.recordings, options.frames, stages.run.seed)
    network.to(device).eval()
    encoder.to(device).eval()
    distance = PerceptualDistance(stages.model.encoder.feature_size)
    noted = _noted(folder)
    began, found, errors = time.perf_counter() - noted.get("seconds", 0.0), [], []
    with progress("refining latents") as advance:
        for first in range(0, len(frames), options.block):
            block, path = frames[first : first + options.block], folder / f"latents_{first:04d}.safetensors"
            images = pad_images(to_images(cache.take(block)[0]), stages.model.network.stride).to(device)
            with torch.no_grad():
                start = encoder(images)
            if saved(path):
                latents = load_tensors(path)["latents"].to(device)
            else:
                latents = refine(network, images, start, options, distance)
                if stages.run.main:
                    save_tensors({"latents": latents}, path)
                    write_json(folder / STAGE, {**noted, "seconds": round(time.perf_counter() - began, 2)})
            with torch.no_grad():
                errors.append(
                    torch.stack([(network(w) - images).square().mean((1, 2, 3)) for w in (start, latents)])
                )
            found.append(latents)
            advance(first + len(block), len(frames))
    if stages.run.main:
        write_json(folder / FRAMES, {"frames": [cache.records[index].name for index in frames]})
    before, after = torch.cat(errors, dim=1).mean(dim=1).tolist()
    stages.end("refinement", time.perf_counter() - began, {"mse": after, "mse_of_encoder": before})
    return frames, torch.cat(found)


def _train_labels(
    stages: _Stages, network: StyleGan2Generator, frames: list[int], latents: Tensor
) -> DatasetGan:
    """Train the label branch on the annotated frames, and return the whole generator."""
    from rarescene.generators import DatasetGan, LabelBranchLearner, train_labels
    from rarescene.training import to_masks

    options, table = stages.model.labels, stages.run.table
    masks = to_masks(stages.scenes.take_masks(frames))
    folder = stages.begin("label", [*network.parameters(), latents])

    def make() -> LabelBranchLearner:
        return LabelBranchLearner(
            options, network, latents, masks,
            classes=len(table), ignore_index=table.ignore_index, seed=stages.run.seed,
        )  # fmt: skip

    seed = derive_seed(stages.run.seed, "labels")
    fitted = train_labels(make, options, folder, seed=seed, resume=stages.run.resume)
    stages.end("label", fitted.seconds, fitted.metrics)
    return DatasetGan(network, fitted.average, stages.model, table)  # type: ignore[arg-type]


def _fingerprint(tensors: Iterable[Tensor]) -> str:
    """Return a short hash of tensors: what was learned from them is of use with these alone."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _write_sheet(
    path: Path, stages: _Stages, generator: DatasetGan, frames: Sequence[int], latents: Tensor
) -> None:
    """Write a picture: annotated frames, what the generator makes of their latents, and other pairs."""
    from rarescene.reports import contact_sheet
    from rarescene.training import to_pixels

    colourise, count = stages.run.table.colourise, min(SHOWN, len(frames))
    shown = [round(place * (len(frames) - 1) / max(1, count - 1)) for place in range(count)]
    images, masks = stages.scenes.take([frames[place] for place in shown])
    generator.to(latents.device)
    again = generator.pairs_of(latents[shown])
    generated = generator.generate_any(
        [derive_seed(stages.run.seed, "sheet", place) for place in range(2 * count)]
    )
    (again_images, again_masks), (drawn_images, drawn_masks) = (
        (to_pixels(pairs.images), colourise(pairs.masks.cpu().numpy())) for pairs in (again, generated)
    )
    rows = [
        [
            images[row], colourise(masks[row]), again_images[row], again_masks[row],
            drawn_images[row], drawn_masks[row], drawn_images[row + count], drawn_masks[row + count],
        ]
        for row in range(count)
    ]  # fmt: skip
    titles = ("frame", "its mask", "reconstruction", "labels there", *("generated", "its mask") * 2)
    with atomic(path) as temporary:
        contact_sheet(rows, titles, side=128, flat=(1, 3, 5, 7)).save(temporary, "PNG")


def _noted(folder: Path) -> dict[str, Any]:
    """Return what was noted of a stage. Raises `CheckpointError` where the file is damaged."""
    path, value = folder / STAGE, read_json(folder / STAGE)
    if not isinstance(value, dict) or not isinstance(value.get("seconds", 0.0), int | float):
        raise CheckpointError(
            "is not the note of a stage", "Delete the folder; the stage is made again.", path
        )
    return value
