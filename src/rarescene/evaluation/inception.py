"""Inception v3 for true FID and KID, from a TorchScript file that the user brings."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor

from rarescene.foundation.errors import CheckpointError


class Inception:
    """The Inception v3 that FID is defined by, as `inception-2015-12-05.pt` of the StyleGAN repositories
    holds it.

    That file is a TorchScript module which takes uint8 images of any size, resizes them to 299 × 299 as the
    TensorFlow original does, and, called with `return_features=True`, gives the 2048 pooled features.
    TorchScript is a program, not a pickle, but still a program: take the file from a source you trust.

    Args:
        path: the TorchScript file.
        device: where it runs.

    Raises:
        CheckpointError: the file is missing, is no TorchScript, or does not give 2048 features.
    """

    name = "Inception"
    num_features = 2048

    def __init__(self, path: Path, device: torch.device | str = "cpu") -> None:
        remedy = "Give the TorchScript file inception-2015-12-05.pt, or none for FD-EffNetLite0."
        if not Path(path).is_file():
            raise CheckpointError("there are no Inception weights", remedy, path)
        try:
            with warnings.catch_warnings():
                # The published file exists in this format alone, so the newer one is no choice.
                warnings.filterwarnings("ignore", message=".*torch.jit.load.*", category=DeprecationWarning)
                self.network = torch.jit.load(str(path), map_location=device).eval()
            features = self(torch.zeros(1, 3, 299, 299, device=device))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise CheckpointError(f"is not the TorchScript of Inception ({reason})", remedy, path) from error
        if features.shape != (1, self.num_features):
            what = f"gives features of shape {tuple(features.shape)} instead of (1, {self.num_features})"
            raise CheckpointError(what, remedy, path)

    def __call__(self, images: Tensor) -> Tensor:
        """Return features `(B, 2048)` of images `(B, 3, H, W)` in [-1, 1], which become bytes first."""
        pixels = (127.5 * images.clamp(-1, 1) + 127.5).round().to(torch.uint8)
        with torch.inference_mode():
            features: Tensor = self.network(pixels, return_features=True)
        return features
