"""Latents of training scenes: encoded once, and kept in the cache folder for all who need the same."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rarescene.foundation.errors import CheckpointError, DataError
from rarescene.scenes import SceneCache, alone, cache_root
from rarescene.workflows.prepared import progress

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from rarescene.generators import LatentScales, PairCodec

_FORMAT = 1


@dataclass(frozen=True)
class TrainingLatents:
    """Latents of N scenes, and behind them those of their mirror images if wanted.

    Attributes:
        standardised: float32 `(N or 2 N, channels, h, w)`, memory-mapped.
        scales: what they were standardised by.
        seconds: what encoding took whoever did it.
    """

    standardised: Tensor
    scales: LatentScales
    seconds: float


def training_latents(
    codec: PairCodec, cache: SceneCache, vqgans: Sequence[str], *, mirrored: bool, device: torch.device | str
) -> TrainingLatents:
    """Encode all scenes of a cache, or find what an earlier run, or another process, made of the same.

    Args:
        codec: the VQ-GANs.
        cache: the training scenes; its folder is addressed by their content.
        vqgans: hashes of the weights of both VQ-GANs.
        mirrored: whether mirror images are wanted too.
        device: where the VQ-GANs work.

    Raises:
        DataError: the file cannot be written, or is damaged.
    """
    from rarescene.generators import LatentScales
    from rarescene.training import load_tensors

    content = json.dumps([_FORMAT, cache.folder.name, *vqgans, codec.stride, mirrored])
    path = cache_root() / f"latents-{hashlib.sha256(content.encode()).hexdigest()[:16]}.safetensors"
    if not path.is_file():
        with alone(path):
            if not path.is_file():
                _encode(codec, cache, path, mirrored, device)
    try:
        tensors = load_tensors(path)
        standardised, seconds = tensors.pop("standardised"), tensors.pop("seconds")
        return TrainingLatents(standardised, LatentScales(**tensors), float(seconds))
    except (CheckpointError, KeyError, TypeError) as error:
        remedy = "Delete this file; the latents are computed again."
        raise DataError("the cached latents cannot be read", remedy, path) from error


def _encode(
    codec: PairCodec, cache: SceneCache, path: Path, mirrored: bool, device: torch.device | str
) -> None:
    import torch

    from rarescene.generators import LatentScales, encode_scenes
    from rarescene.training import save_tensors

    began = time.perf_counter()
    with progress("encoding") as advance:
        latents = encode_scenes(
            codec, cache.take, len(cache), mirrored=mirrored, device=device, progress=advance
        )
    scales = LatentScales.of(latents)
    tensors = {"standardised": scales.standardise(latents), **vars(scales)}
    seconds = torch.tensor(time.perf_counter() - began, dtype=torch.float64)
    save_tensors({**tensors, "seconds": seconds}, path)
