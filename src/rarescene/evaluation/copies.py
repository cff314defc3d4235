"""Are synthetic images copies of training frames? How near they come, beside how near real frames come.

A distance means nothing by itself, so three more stand beside it:

- training frames → the nearest one of the same recording: near-copies, since adjacent frames hardly differ.
- training frames → the nearest one of another recording: how near frames come that are no copies. A quantile
  of these is the threshold.
- validation frames → the nearest training frame: what frames of a new recording look like. Unlike the
  threshold, this is no matter of definition.

Distances in features see content: a mirrored copy stays near. They also see the flaws of a generator, which
push its images away from all real frames, so that a flawed copy is missed. Distances of thumbnails are blind
to flaws, but two images of one mask are near by their layout alone. Neither is the truth; both are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from rarescene.evaluation.bootstrap import Floats
from rarescene.evaluation.config import CopyConfig
from rarescene.evaluation.distances import Extractor
from rarescene.foundation.errors import DataError
from rarescene.networks import EffNetLite0

THUMBNAIL = 32
BLOCK = 1024
"""Rows and columns of one block of distances: 8 MB in double precision, however many images there are."""

Among = Literal["any", "own", "other"]


@dataclass(frozen=True)
class Nearest:
    """The nearest reference of each query.

    Attributes:
        distance: `(N,)`; infinite where there is no reference to compare with.
        index: of the reference, int64 `(N,)`; -1 likewise.
    """

    distance: Floats
    index: NDArray[np.int64]


@dataclass(frozen=True)
class CopyScores:
    """How near synthetic images come to training frames, in one measure.

    Attributes:
        measure: what the distances are of, in words.
        synthetic: synthetic image → nearest training frame.
        own: training frame → nearest other one of its recording, `(M,)`; infinite where it has none.
        other: training frame → nearest one of another recording, `(M,)`; likewise.
        held_out: validation frame → nearest training frame; empty where there is none.
        threshold: at and below it an image counts as a copy; None where a single recording gives none.
    """

    measure: str
    synthetic: Nearest
    own: Floats
    other: Floats
    held_out: Floats
    threshold: float | None

    def copies(self, distances: Floats) -> NDArray[np.bool_]:
        """Return which of these distances are those of copies."""
        return distances <= (-np.inf if self.threshold is None else self.threshold)


def copy_scores(
    synthetic: Tensor,
    training: Tensor,
    recordings: Sequence[str],
    *,
    held_out: Tensor | None = None,
    quantile: float = CopyConfig.quantile,
    measure: str = "",
) -> CopyScores:
    """Compare synthetic images with training frames, all given as vectors.

    For N synthetic images, M training frames and vectors of length D this takes about M (N + 2 M) D
    multiplications: some 15 s on two cores for 10,000 of each and D = 1280, less than the network takes.

    Args:
        synthetic: `(N, D)`.
        training: `(M, D)`.
        recordings: the recording of each training frame.
        held_out: vectors of real frames that are not among the training frames, or None.
        quantile: of the distances between recordings, see `CopyConfig`.

    Raises:
        DataError: there is no training frame, or recordings are missing.
    """
    if not len(training) or len(recordings) != len(training):
        what = f"{len(training)} training frames came with {len(recordings)} recordings"
        raise DataError(what, "Copies are looked for among training frames; name the recording of each.")
    groups = np.unique(np.asarray(recordings), return_inverse=True)[1]
    other = nearest(training, training, groups=groups, among="other").distance
    known = other[np.isfinite(other)]
    return CopyScores(
        measure=measure,
        synthetic=nearest(synthetic, training),
        own=nearest(training, training, groups=groups, among="own").distance,
        other=other,
        held_out=np.empty(0) if held_out is None else nearest(held_out, training).distance,
        threshold=float(np.quantile(known, quantile)) if len(known) else None,
    )


def nearest(
    queries: Tensor,
    references: Tensor,
    *,
    groups: NDArray[np.int64] | None = None,
    among: Among = "any",
    block: int = BLOCK,
) -> Nearest:
    """Return the nearest reference of each query, by Euclidean distance; of equals the first.

    Args:
        queries: `(N, D)`.
        references: `(M, D)`.
        groups: int64 `(N,)`, the recording of each frame, where queries and references are the same frames.
        among: "any" reference; with `groups`, those of the query's "own" recording without itself, or those
            of every "other" recording.
        block: rows and columns computed at once; memory grows with its square alone.
    """
    centre = references.double().mean(dim=0)  # about the origin, products of large numbers cancel least
    distances, indices = np.full(len(queries), np.inf), np.full(len(queries), -1, np.int64)
    for top in range(0, len(queries), block):
        rows = slice(top, min(top + block, len(queries)))
        asked = queries[rows].double() - centre  # (b, D)
        best, place = torch.full((len(asked),), torch.inf).double(), torch.full((len(asked),), -1)
        for left in range(0, len(references), block):
            columns = slice(left, min(left + block, len(references)))
            given = references[columns].double() - centre  # (c, D)
            # |a - b|² = |a|² + |b|² - 2 a·b, (b, c)
            squared = (asked**2).sum(1, keepdim=True) + (given**2).sum(1) - 2 * asked @ given.T
            if groups is not None and among != "any":
                same = groups[rows, None] == groups[None, columns]
                allowed = ~same if among == "other" else same & ~_itself(rows, columns)
                squared.masked_fill_(torch.from_numpy(~allowed).to(squared.device), torch.inf)
            least, column = squared.cpu().min(dim=1)
            closer = least < best
            best[closer], place[closer] = least[closer], column[closer] + left
        found = place >= 0
        # Once more without cancellation, so that an equal vector is at 0 and not at 1e-7.
        exact = (queries[rows].cpu()[found].double() - references.cpu()[place[found]].double()).norm(dim=1)
        indices[rows] = place.numpy()
        distances[rows][found.numpy()] = exact.numpy()
    return Nearest(distances, indices)


def feature_vectors(images: Iterable[Tensor], network: Extractor, device: torch.device | str) -> Tensor:
    """Return features float32 `(N, D)` on the CPU, for batches of images `(B, 3, H, W)` in [-1, 1]."""
    with torch.inference_mode():
        found = [network(batch.to(device)).float().cpu() for batch in images]
    return torch.cat(found) if found else torch.empty(0, network.num_features)


def pixel_vectors(images: Iterable[Tensor]) -> Tensor:
    """Return thumbnails of all images, float32 `(N, 3·32·32)`, for batches `(B, 3, H, W)` in [-1, 1].

    They are scaled so that a Euclidean distance is the root mean square difference in levels of 0 to 255.
    """
    side = (THUMBNAIL, THUMBNAIL)
    found = [
        F.interpolate(batch.float(), side, mode="bilinear", antialias=True, align_corners=False).flatten(1)
        for batch in images
    ]
    values = torch.cat(found) if found else torch.empty(0, 3 * THUMBNAIL**2)
    return values * (127.5 / values.shape[1] ** 0.5)


def image_vectors(
    config: CopyConfig, device: torch.device | str = "cpu"
) -> tuple[str, Callable[[Iterable[Tensor]], Tensor]]:
    """Return what `config` measures, in words, and the function from batches of images to vectors."""
    if config.measure == "pixels":
        return f"{THUMBNAIL}×{THUMBNAIL} pixels, levels", pixel_vectors
    network = EffNetLite0(config.feature_size).to(device)
    return f"{network.name} features", lambda images: feature_vectors(images, network, device)


def _itself(rows: slice, columns: slice) -> NDArray[np.bool_]:
    return np.arange(rows.start, rows.stop)[:, None] == np.arange(columns.start, columns.stop)
