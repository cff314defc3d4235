"""Text-prompted segmentation maps (CASDM, "Text-Prompted Segmentation Map Generator"). p(mask | request).

A request becomes one prompt a class; a frozen text encoder encodes each by itself; a diffusion U-Net
generates a colour-coded map that attends to them (Eq. 11); every pixel then goes to the nearest colour. One
file, read as one reads the paper: what is learned (`PromptedMapsLearner`), what is then generated
(`PromptedMaps`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from rarescene.diffusion import (
    MapSamplingConfig,
    NoiseSchedule,
    class_aware_mse,
    class_weight_map,
    guided,
    sample,
)
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.protocols import Batch
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.image_diffusion import Precisions
from rarescene.generators.map_codes import MapCode, fill_ignored, touching_classes
from rarescene.generators.metadata import DESCRIPTION, read_description, write_description
from rarescene.generators.prompted_maps_config import PromptConfig, PromptedMapsConfig
from rarescene.generators.prompts import PromptBook
from rarescene.generators.small_components import remove_specks
from rarescene.networks import PromptUNet, TextEncoder
from rarescene.scenes import ClassRequest, KeptReport, Request, RequestPool, SceneCache, cut_back, pad_masks
from rarescene.training import Learner, load_weights, save_tensors


class PromptedMapsLearner(Learner):
    """Trains ε̂ or v̂ (x_t, e, t) by the pixel-wise MSE of the paper.

    The request is derived from each map as it stands in the batch, after augmentation: a flip exchanges left
    and right. Ignored pixels are painted like the nearest labelled one and have no part in the loss, so that
    generated maps have none.

    Args:
        config: sizes, loss and training.
        book: the prompts of the class table.
        code: what stands for each class in a map.
        seed: seed of the weights.
        frequency: share of the training scenes that show each class, by which one is chosen to be asked for
            alone; by default all are chosen alike.
    """

    network: PromptUNet

    def __init__(
        self,
        config: PromptedMapsConfig,
        book: PromptBook,
        code: MapCode,
        seed: int,
        frequency: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.config, self.book, self.code, self.table = config, book, code, book.table
        self.schedule = NoiseSchedule(config.diffusion)
        shown = np.ones(len(self.table)) if frequency is None else np.asarray(frequency, np.float64)
        self.rarity = 1 / np.maximum(shown, 1e-3)
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(seed, "weights"))
            self.network = PromptUNet(config.network, self.code.channels, len(self.table), book.width)
        self.boost = {self.table.id_of(name): by for name, by in config.class_aware.class_boost.items()}

    @classmethod
    def of_scenes(cls, config: PromptedMapsConfig, scenes: SceneCache, seed: int) -> Self:
        """Return a learner whose prompts and colours are those of the training maps."""
        masks, table = scenes.take_masks(range(len(scenes))), scenes.classes
        most = RequestPool.of_masks(masks, table).most
        code = MapCode.of(config.representation, touching_classes(masks, len(table)))
        book = PromptBook.write(table, TextEncoder.open(config.text_encoder), most)
        return cls(config, book, code, seed, (scenes.class_pixels > 0).mean(axis=0).tolist())

    @property
    def remark(self) -> str:
        """What is worth knowing before the first step."""
        return f"prompts encoded by {self.book.encoder}"

    def generator(self, network: PromptUNet) -> PromptedMaps:
        """Return what generates maps by a trained network."""
        return PromptedMaps(network, self.config, self.book, self.code)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the loss of a batch."""
        ignore = self.table.ignore_index
        requests = [
            thin_out(Request.from_mask(mask, self.table), seed, self.config.prompts, self.rarity)
            for mask, seed in zip(batch.masks.cpu().numpy().astype(np.uint8), batch.seeds, strict=True)
        ]
        prompts, asked = (part.to(batch.masks.device) for part in self.book.features(requests))
        masks = pad_masks(batch.masks, self.config.network.stride, ignore)
        x_0 = self.code.paint(_filled(masks, ignore))
        t, noise = self.schedule.sample(batch.seeds, x_0)

        # Eq. 11: the prompts' embeddings e beside x_t and t
        output = self.network(self.schedule.add_noise(x_0, noise, t), t, prompts, asked)
        target = self.schedule.target(x_0, noise, t)
        return {"loss": class_aware_mse(output, target, self._weights(masks)).mean()}

    def _weights(self, masks: Tensor) -> Tensor:
        """Return the weight of each pixel: 0 where ignored, of mean 1 over each map."""
        ignore = self.table.ignore_index
        weights = class_weight_map(masks, len(self.table), ignore, self.config.class_aware, self.boost)
        weights = weights * (masks != ignore)
        return weights / weights.mean(dim=(1, 2), keepdim=True).clamp_min(1e-6)


@dataclass(frozen=True)
class GeneratedMap:
    """A map, and how well it keeps its request.

    Attributes:
        mask: uint8 `(H, W)` of class ids; no pixel is ignored.
        confidence: float32 `(H, W)` in [0, 1], see `PromptedMaps.generate`.
        request: what was asked.
        report: what of it is kept.
        first: what the first try kept of it.
        tries: how many maps were generated for it.
        seed: the seed of this one.
    """

    mask: np.ndarray
    confidence: np.ndarray
    request: Request
    report: KeptReport
    first: KeptReport
    tries: int
    seed: int


class PromptedMaps:
    """A trained map generator: a map for a request."""

    name = "maps"

    def __init__(
        self, network: PromptUNet, config: PromptedMapsConfig, book: PromptBook, code: MapCode
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.config, self.book, self.code, self.table = config, book, code, book.table
        self.schedule = NoiseSchedule(config.diffusion)
        self._precisions = Precisions(self.network)

    @property
    def summary(self) -> str:
        """One sentence for a card."""
        return f"Generates a segmentation map for a request; prompts are encoded by {self.book.encoder}."

    def to(self, device: torch.device | str) -> PromptedMaps:
        """Move the weights, and return the generator."""
        self.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._precisions = Precisions(self.network)
        return self

    @torch.no_grad()
    def generate(
        self,
        requests: Sequence[Request],
        *,
        seeds: Sequence[int],
        sampler: str = "dpm-solver++",
        steps: int = 30,
        guidance: float = 2.0,
        precision: str = "no",
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Generate one map for each request, whether it keeps it or not.

        Args:
            requests: what the maps must show; shares of area are not listened to.
            seeds: one a request; map i depends on request i and seed i alone.
            sampler: "dpm-solver++", "ddpm", "ddim" or "unipc".
            steps: denoising steps.
            guidance: s in ε_∅ + s (ε_e − ε_∅), classifier-free guidance; 1 is none, and twice as fast.
            precision: "no" for float32, or "bf16".
            progress: called with the steps done and the steps in all.

        Returns:
            Class ids, int64 `(B, H, W)`, and a confidence in [0, 1], float32 `(B, H, W)`: how much nearer the
            pixel lay to its class's colour than to the next (`MapCode.nearest`), 0 where a speck was painted
            over.
        """
        device = next(self.network.parameters()).device
        stride, (height, width) = self.config.network.stride, (self.config.height, self.config.width)
        prompts, asked = (part.to(device) for part in self.book.features(requests))
        network = self._precisions.take(precision)

        denoise = guided(
            lambda x_t, t: network(x_t, t, prompts, asked),
            lambda x_t, t: network(x_t, t, prompts, torch.zeros_like(asked)),
            guidance,
        )
        coded = sample(
            denoise,
            (self.code.channels, height + -height % stride, width + -width % stride),
            seeds,
            self.schedule,
            sampler=sampler,
            steps=steps,
            device=device,
            progress=progress,
        )
        ids, confidence = self.code.nearest(cut_back(coded, height, width))
        for place, request in enumerate(requests):
            generated = ids[place].cpu().numpy().astype(np.uint8)
            clean = torch.from_numpy(remove_specks(generated, self.config.specks, request.ids)).to(ids)
            confidence[place].masked_fill_(clean != ids[place], 0.0)
            ids[place] = clean
        return ids, confidence

    def generate_checked(
        self, requests: Sequence[Request], *, seeds: Sequence[int], tries: int = 8, **options: Any
    ) -> list[GeneratedMap]:
        """Generate a map for each request, and anew where it does not keep it, at most `tries` times.

        Where none of the tries keeps its request, the one that keeps most of it is returned.

        Args:
            requests: what the maps must show.
            seeds: one a request; that of a further try is derived from it.
            tries: 1 or more.
            options: as `generate` takes them.
        """
        best: dict[int, GeneratedMap] = {}
        open_places = list(range(len(requests)))
        for turn in range(tries):
            again = [
                derive_seed(seeds[place], "try", turn) if turn else seeds[place] for place in open_places
            ]
            masks, confidence = self.generate([requests[p] for p in open_places], seeds=again, **options)
            for row, place in enumerate(open_places):
                mask = masks[row].cpu().numpy().astype(np.uint8)
                report = requests[place].kept_by(mask, self.table)
                one = GeneratedMap(
                    mask, confidence[row].cpu().numpy(), requests[place], report, report, turn + 1, again[row]
                )
                before = best.get(place)
                best[place] = one if before is None else _better(before, one)
            open_places = [place for place in open_places if not best[place].report.kept]
            if not open_places:
                break
        return [best[place] for place in range(len(requests))]

    def sampling(self, config: MapSamplingConfig) -> dict[str, Any]:
        """Return the options of `generate_checked`. Raises `ConfigError` for what cannot be done."""
        if config.steps > (most := self.config.diffusion.timesteps):
            remedy = f"Take 1 to {most}, the timesteps of the generator."
            raise ConfigError(f"map_sampling.steps is {config.steps}", remedy)
        options = asdict(config)
        del options["block"]
        return options

    def save(self, folder: Path) -> None:
        """Write weights and prompts (safetensors) and settings (JSON) to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(self.network.state_dict(), folder / "weights.safetensors")
        self.book.save(folder)
        more = {"code": self.code.words.tolist(), "text_encoder": self.book.fingerprint}
        write_description(folder, self.name, self.config, self.table, **more)

    @classmethod
    def load(cls, folder: Path) -> PromptedMaps:
        """Read what `save` wrote.

        Raises:
            CheckpointError: a file is missing or damaged, or does not fit; it is named.
        """
        config, table, settings = read_description(folder, cls.name, PromptedMapsConfig)
        path = folder / DESCRIPTION
        try:
            words = np.asarray(settings["code"], np.float32)
        except (KeyError, TypeError, ValueError) as error:
            remedy = "Restore the file, or train the generator again."
            raise CheckpointError(f"holds no code of the classes ({error!r})", remedy, path) from error
        book = PromptBook.load(folder, table)
        if settings.get("text_encoder", book.fingerprint) != book.fingerprint:
            remedy = "Restore the folder: generator.json and prompts.json belong together."
            raise CheckpointError("was trained with prompts of another text encoder", remedy, path)
        code = MapCode(words)
        network = PromptUNet(config.network, code.channels, len(table), book.width)
        load_weights(network, folder / "weights.safetensors")
        return cls(network, config, book, code)


def thin_out(request: Request, seed: int, config: PromptConfig, rarity: np.ndarray) -> Request:
    """Return a request that leaves something unsaid, by chance: everything, all classes but one, some, words.

    Args:
        request: the request of a training map.
        seed: the scene's own; the same seed leaves out the same.
        config: the chances.
        rarity: `(C,)`, how likely each class is to be the one that is asked for alone.
    """
    random = np.random.default_rng(derive_seed(seed, "prompt"))
    what = random.random()
    entries = list(request.classes)
    if what < config.nothing or not entries:
        return Request(())
    if what < config.nothing + config.single:
        chances = rarity[list(request.ids)]
        entries = [entries[int(random.choice(len(entries), p=chances / chances.sum()))]]
    elif what < config.nothing + config.single + config.some:
        entries = [entry for entry in entries if random.random() < 0.5]
    return Request(
        tuple(
            ClassRequest(
                entry.class_id,
                None if random.random() < config.without_count else entry.count,
                None if random.random() < config.without_place else entry.place,
            )
            for entry in entries
        )
    )


def rare_scene_weights(class_pixels: np.ndarray, exponent: float) -> list[float] | None:
    """Return the sampling weight 1/f^e of each scene, f the share of scenes that show its rarest class.

    Args:
        class_pixels: `(N, C)`, pixels of each class in each scene.
        exponent: e; for 0 the answer is None, all alike.
    """
    if not exponent:
        return None
    shown = class_pixels > 0
    rarity = np.where(shown, 1 / np.maximum(shown.mean(axis=0), 1e-9), 1.0)  # (N, C)
    return list((rarity.max(axis=1) ** exponent).tolist())


def _better(before: GeneratedMap, after: GeneratedMap) -> GeneratedMap:
    """Return the map that keeps more: presence first, then number and place; else the earlier."""

    def rank(one: GeneratedMap) -> tuple[float, float]:
        return one.report.present, one.report.quantity + one.report.place

    better = after if rank(after) > rank(before) else before
    return GeneratedMap(
        better.mask, better.confidence, better.request, better.report, before.first, after.tries, better.seed
    )


def _filled(masks: Tensor, ignore_index: int) -> Tensor:
    ids = masks.cpu().numpy()
    filled = np.stack([fill_ignored(mask, ignore_index) for mask in ids])
    return torch.from_numpy(filled).to(masks)
