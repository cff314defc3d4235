"""DatasetGAN's interpreter (Zhang et al. 2021): labels from the features that a generator works with.

The features of all layers, brought to the image's size, are a vector at each pixel; an ensemble of small
networks reads the pixel's class from it. A few annotated frames suffice, since the features have separated
the parts of a scene already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rarescene.foundation.errors import DataError
from rarescene.foundation.files import read_log
from rarescene.foundation.protocols import Batch
from rarescene.foundation.seeds import derive_seed
from rarescene.generators.datasetgan_config import LabelBranchConfig
from rarescene.networks import StyleGan2Generator
from rarescene.training import LOG, Fitted, Learner, fit


class LabelEnsemble(nn.Module):
    """M pixel classifiers of two hidden layers, as one network of grouped 1 × 1 convolutions.

    Args:
        channels: of the features of each of the generator's layers, F together.
        classes: C.
        config: members and widths.
    """

    def __init__(self, channels: Sequence[int], classes: int, config: LabelBranchConfig) -> None:
        super().__init__()
        self.channels, self.members, (first, second) = tuple(channels), config.members, config.hidden
        m = config.members
        self.first = nn.Conv2d(m * sum(channels), m * first, 1, groups=m)
        self.rest = nn.Sequential(
            nn.ReLU(),
            nn.BatchNorm2d(m * first),
            nn.Conv2d(m * first, m * second, 1, groups=m),
            nn.ReLU(),
            nn.BatchNorm2d(m * second),
            nn.Conv2d(m * second, m * classes, 1, groups=m),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits `(N, M, C)` for features `(N, M, F)`: each member sees pixels of its own."""
        logits = self.rest(self.first(pixels.flatten(1)[:, :, None, None]))  # (N, M·C, 1, 1)
        return logits.flatten(1).unflatten(1, (self.members, -1))

    def maps(self, features: Sequence[Tensor], height: int, width: int) -> Tensor:
        """Return the members' mean probabilities `(B, C, H, W)` for the layers' features `(B, C_l, h, w)`.

        Features are enlarged bilinearly. The first layer is linear, as enlarging is, so it is computed at the
        features' own sizes, where there is less to do, and its results are enlarged.
        """
        assert self.first.bias is not None
        hidden = self.first.bias[:, None, None]
        # A weight a layer, (M·first, C_l, 1, 1): in a convolution without groups, all members see the same.
        layers = zip(features, self.first.weight.split(self.channels, dim=1), strict=True)
        for _, alike in groupby(layers, key=lambda layer: layer[0].shape[-2:]):
            found, weights = zip(*alike, strict=True)
            hidden = hidden + enlarged(F.conv2d(torch.cat(found, 1), torch.cat(weights, 1)), height, width)
        logits = self.rest(hidden)  # (B, M·C, H, W)
        return logits.unflatten(1, (self.members, -1)).softmax(dim=2).mean(dim=1)


class LabelBranchLearner(Learner):
    """Trains the classifiers on the annotated frames' labelled pixels, by cross entropy.

    A step's frames and pixels are sampled from the seeds of its batch, whose images nobody looks at.

    Args:
        config: sizes and training.
        generator: trained.
        latents: w+ of the annotated frames, `(K, 2L, D)`.
        masks: their masks `(K, H, W)`, at most of the generator's size.
        classes: C.
        ignore_index: the id of unlabelled pixels, which are never sampled.
        seed: seed of the weights.

    Raises:
        DataError: no pixel is labelled.
    """

    network: LabelEnsemble
    latents: Tensor
    masks: Tensor

    def __init__(
        self,
        config: LabelBranchConfig,
        generator: StyleGan2Generator,
        latents: Tensor,
        masks: Tensor,
        *,
        classes: int,
        ignore_index: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.config, self.generator = config, generator.requires_grad_(False)
        labelled = (masks != ignore_index).flatten(1)  # (K, H·W)
        if not labelled.any():
            raise DataError("no pixel of the chosen frames is labelled", "Check the masks of the data.")
        self.width = masks.shape[-1]
        self.places = [row.nonzero().flatten() for row in labelled if row.any()]
        self.register_buffer("latents", latents[labelled.any(dim=1)])
        self.register_buffer("masks", masks[labelled.any(dim=1)].flatten(1))
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(seed, "labels"))
            self.network = LabelEnsemble(generator.feature_channels, classes, config)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the mean cross entropy of all members."""
        frames, places = self._sample(batch.seeds)  # (B,), (B, M·P)
        with torch.no_grad():
            features = self.generator.synthesise(self.latents[frames])[1]
            rows, columns = places // self.width, places % self.width
            at = features_at(features, rows, columns, self.generator.size)  # (B, M·P, F)
        labels = self.masks[frames].gather(1, places)  # (B, M·P)
        members = self.config.members
        dealt = at.unflatten(1, (-1, members)).flatten(0, 1)  # (B·P, M, F)
        targets = labels.unflatten(1, (-1, members)).flatten(0, 1)  # (B·P, M)
        logits = self.network(dealt)  # (B·P, M, C)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        right = (logits.argmax(dim=-1) == targets).float().mean()
        return {"loss": loss, "right": right}

    def _sample(self, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return a frame for each seed, and M·P of its labelled pixels, as numbers in the flat mask."""
        frames, places, wanted = [], [], self.config.members * self.config.pixels
        for seed in seeds:
            generator = torch.Generator().manual_seed(derive_seed(seed, "pixels"))
            frame = int(torch.randint(len(self.places), (), generator=generator))
            known = self.places[frame]
            frames.append(frame)
            places.append(known[torch.randint(len(known), (wanted,), generator=generator)])
        device = self.masks.device
        return torch.tensor(frames, device=device), torch.stack(places).to(device)


def train_labels(
    make: Callable[[], LabelBranchLearner],
    config: LabelBranchConfig,
    folder: Path,
    *,
    seed: int,
    resume: bool,
) -> Fitted:
    """Train until the loss has stopped falling, and return the fitted classifiers.

    Every `check_every` steps the mean loss since the last look is compared with the lowest so far. The log
    holds them all, so a resumed run stops where an undisturbed one does.

    Args:
        make: gives a learner with fresh weights.
        config: how long, and when to stop.
        folder: receives log and checkpoints.
        seed: seed of frames and pixels.
        resume: go on from the newest checkpoint in `folder`.
    """

    def frames(step: int, start: int, stop: int) -> Batch:
        own = [derive_seed(seed, "annotated", step, place) for place in range(start, stop)]
        return Batch(torch.zeros(len(own), 3, 1, 1), torch.zeros(len(own), 1, 1, dtype=torch.int64), own)

    every, most = config.check_every, config.training.steps
    done = read_log(folder / LOG)[-1:] if resume else []
    stop = min(most, int(done[0]["step"])) if done else min(most, every)
    while True:
        training = replace(config.training, steps=stop, log_every=every, save_every=every)
        fitted = fit(make(), frames, training, folder, seed=seed, resume=resume, label="labels")
        if stop >= most or _settled(fitted, config):
            return fitted
        resume = True
        stop = min(most, stop + every)


def _settled(fitted: Fitted, config: LabelBranchConfig) -> bool:
    """Return whether the last `patience` losses are no lower than the lowest before them."""
    losses = [line["loss"] for line in fitted.log]
    before, since = losses[: -config.patience], losses[-config.patience :]
    return bool(before) and min(since) > (1 - config.gain) * min(before)


def features_at(features: Sequence[Tensor], rows: Tensor, columns: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the features of all layers at pixels, `(B, P, F)`, as if they were enlarged to `size` first.

    Args:
        features: of each layer, `(B, C_l, h, w)`.
        rows: `(B, P)`, from 0.
        columns: likewise.
        size: height and width of the images.
    """
    across = (2 * columns + 1) / size[1] - 1
    down = (2 * rows + 1) / size[0] - 1
    grid = torch.stack([across, down], dim=-1).unsqueeze(2)  # (B, P, 1, 2), in [-1, 1]
    found = [
        F.grid_sample(feature, grid, mode="bilinear", padding_mode="border", align_corners=False)
        for feature in features
    ]
    return torch.cat(found, dim=1).squeeze(3).transpose(1, 2)


def enlarged(x: Tensor, height: int, width: int) -> Tensor:
    """Return `(B, C, height, width)` for maps `(B, C, h, w)`, bilinearly."""
    if x.shape[-2:] == (height, width):
        return x
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=False)
