"""What is measured of synthetic pairs: agreement, request, distance to the training frames, confidence.

Agreement asks whether a segmenter trained on real scenes sees in a synthetic image what its mask says: IoU,
pair by pair. If it is low, either the image does not show what the mask says, or it does and the segmenter
misses it, as it may miss that class in real frames too; no number here tells the two apart. Read the
agreement of a class beside the same on real frames that the segmenter never saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from rarescene.evaluation.bootstrap import Floats, mean_of_known
from rarescene.evaluation.config import CopyConfig
from rarescene.evaluation.confusion import confusion_matrices, hits_and_totals, scores_in_reference
from rarescene.foundation.console import progress
from rarescene.scenes import ClassTable, Request, SceneCache, SceneSet, read_confidence

if TYPE_CHECKING:
    from torch import Tensor

    from rarescene.evaluation import CopyRate, CopyScores, RecordingOverlap
    from rarescene.foundation.protocols import Segmenter

BATCH = 32


def pair_iou(
    predictions: Tensor | ArrayLike, masks: Tensor | ArrayLike, classes: int, ignore_index: int
) -> Floats:
    """Return the IoU of each class in each pair, `(B, C)`; NaN for a class that the mask does not show.

    A class that is predicted and not in the mask has no IoU of its own; the classes that it covers lose.

    Args:
        predictions: class ids `(B, H, W)`, predicted on the synthetic images.
        masks: class ids `(B, H, W)` of the pairs; pixels with `ignore_index` are left out.

    Raises:
        DataError: shapes differ, or an id is not of these classes.
    """
    confusion = confusion_matrices(predictions, masks, classes, ignore_index)
    return scores_in_reference(*hits_and_totals(confusion))[0]


def pair_agreement(iou: Floats, classes: Sequence[int] | None = None) -> Floats:
    """Return each pair's mean IoU over the classes that it shows, `(B,)`; NaN where it shows none.

    Args:
        iou: what `pair_iou` returned, `(B, C)`.
        classes: ids of the classes that count; all of them by default.
    """
    return mean_of_known(iou if classes is None else iou[:, list(classes)])


def class_agreement(iou: Floats) -> Floats:
    """Return each class's mean IoU over the pairs that show it, `(C,)`; NaN where none does."""
    return mean_of_known(np.asarray(iou).T)


@dataclass(frozen=True)
class PairScores:
    """The scores of N pairs.

    Attributes:
        columns: float `(N,)` by name; NaN where a pair has no such score. The manifest bears these names.
        iou: mean IoU of each class over the pairs that show it, `(C,)`; None without a segmenter.
        real_iou: the same on held-out real frames, or None.
        copies: by measure, the one that decides first.
    """

    columns: dict[str, np.ndarray]
    iou: np.ndarray | None
    real_iou: np.ndarray | None
    copies: Mapping[str, CopyScores]
    rare: tuple[int, ...]

    @property
    def nearest(self) -> np.ndarray:
        """Index of each pair's nearest training frame, by the measure that decides, int64 `(N,)`."""
        return next(iter(self.copies.values())).synthetic.index

    def of(self, pair: int) -> dict[str, float]:
        """Return the scores of one pair as they are written to a manifest."""
        known = {name: float(values[pair]) for name, values in self.columns.items()}
        return {name: round(value, 6) for name, value in known.items() if not np.isnan(value)}


class Judge:
    """A trained segmenter, asked what it sees.

    Args:
        size: height and width of the images that it was trained on.
    """

    def __init__(self, network: Segmenter, size: tuple[int, int], table: ClassTable) -> None:
        import torch

        self.network, self.size, self.table = network, size, table
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if isinstance(network, torch.nn.Module):
            network.to(self.device)

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """Return class ids uint8 `(B, H, W)` for images uint8 `(B, H, W, 3)`, at their own size."""
        return self.probabilities(pixels).argmax(1).astype(np.uint8)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Return class probabilities float32 `(B, C, H, W)` of images uint8 `(B, H, W, 3)`, at their size."""
        import torch.nn.functional as F

        from rarescene.scenes import resize_image
        from rarescene.training import to_images

        seen = pixels
        if pixels.shape[1:3] != self.size:
            seen = np.stack([resize_image(image, *self.size) for image in pixels])
        probabilities = self.network.predict(to_images(seen).to(self.device))
        if seen is not pixels:
            probabilities = F.interpolate(probabilities, size=pixels.shape[1:3], mode="bilinear")
        found: np.ndarray = probabilities.float().cpu().numpy()
        return found

    def iou(self, scenes: SceneCache, label: str) -> np.ndarray:
        """Return the IoU of each class in each scene, `(N, C)`, with a progress bar."""
        parts = [
            pair_iou(self.predict(pixels), ids, len(self.table), self.table.ignore_index)
            for pixels, ids in _batches(scenes, label)
        ]
        return np.concatenate([np.empty((0, len(self.table))), *parts])

    def overlaps(
        self, scenes: SceneCache, groups: Sequence[str], label: str
    ) -> Mapping[str, RecordingOverlap]:
        """Return what it scores on scenes, by the group of each, at their own size, with a progress bar."""
        from rarescene.evaluation import OverlapMeter

        meter, place = OverlapMeter(self.table.names, self.table.ignore_index), 0
        for pixels, ids in _batches(scenes, label):
            meter.update(self.predict(pixels), ids, groups[place : place + len(ids)])
            place += len(ids)
        return meter.recordings


def score_pairs(
    pairs: SceneSet,
    cache: SceneCache,
    training: SceneCache,
    held_out: SceneCache | None,
    judge: Judge | None,
    rare: Sequence[int],
    config: CopyConfig,
) -> PairScores:
    """Measure pairs.

    Args:
        cache: the pairs, decoded.
        training: real training frames at the same size.
        held_out: real frames that nothing was trained on, at the same size, or None.
        judge: a segmenter trained on real scenes, or None.
    """
    columns: dict[str, np.ndarray] = {}
    mean = real = None
    if judge is not None:
        iou = judge.iou(cache, "judging the pairs")
        others = [index for index in range(len(cache.classes)) if index not in rare]
        groups = {"agreement": None, "rare_agreement": rare, "context_agreement": others}
        columns = {name: pair_agreement(iou, ids) for name, ids in groups.items()}
        columns |= {f"iou {name}": iou[:, index] for index, name in enumerate(cache.classes.names)}
        mean = class_agreement(iou)
    if judge is not None and held_out is not None:
        real = class_agreement(judge.iou(held_out, "judging real frames"))
    columns |= _requests(pairs, cache)
    sure = (read_confidence(record) for record in pairs.records)
    columns["confidence"] = np.array([np.nan if one is None else float(one.mean()) for one in sure])
    copies = CopyCheck(training, held_out, config).of(cache)
    decides = copies[config.measure]
    for name, found in copies.items():
        columns[f"{name}_distance"] = found.synthetic.distance
    known = np.nan if decides.threshold is None else 1.0
    columns["copy"] = known * decides.copies(decides.synthetic.distance)
    return PairScores(columns, mean, real, copies, tuple(rare))


def _requests(pairs: SceneSet, cache: SceneCache) -> dict[str, np.ndarray]:
    """Return the share of the requested classes that a mask shows, and whether all is as it was asked."""
    present, kept = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    for index, record in enumerate(pairs.records):
        if "request" in record.details:
            request = Request.from_dict(record.details["request"])
            found = request.kept_by(cache.take_masks([index])[0], pairs.classes)
            present[index], kept[index] = found.present, found.kept
    return {"request_present": present, "request_kept": kept}


class CopyCheck:
    """Tells how near pairs come to training frames, in both measures, the one that decides first.

    Args:
        training: real training frames at the size of the pairs.
        held_out: real frames that nothing was trained on, at the same size, or None.
    """

    def __init__(self, training: SceneCache, held_out: SceneCache | None, config: CopyConfig) -> None:
        import torch

        from rarescene.evaluation import image_vectors

        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.recordings, self.quantile = training.recordings, config.quantile
        second = replace(config, measure="pixels" if config.measure == "features" else "features")
        self._measures = []
        for one in (config, second):
            words, vectors = image_vectors(one, device)
            unseen = None if held_out is None else vectors(_images(held_out, "validation"))
            given = vectors(_images(training, "training"))
            self._measures.append((one.measure, words, vectors, given, unseen))

    def of(self, pairs: SceneCache) -> dict[str, CopyScores]:
        """Return how near these pairs come, by measure."""
        from rarescene.evaluation import copy_scores

        return {
            name: copy_scores(
                vectors(_images(pairs, "synthetic")), training, self.recordings, held_out=unseen,
                quantile=self.quantile, measure=words,
            )
            for name, words, vectors, training, unseen in self._measures
        }  # fmt: skip

    def rates(self, pairs: SceneCache, groups: Sequence[str]) -> tuple[CopyRate, ...]:
        """Return the rate of copies in each measure; `groups` names the recording that each pair is of."""
        from rarescene.evaluation import copy_rate

        return tuple(copy_rate(one, groups) for one in self.of(pairs).values())


def _images(scenes: SceneCache, whose: str) -> Iterator[Tensor]:
    from rarescene.training import to_images

    return (to_images(pixels) for pixels, _ in _batches(scenes, f"{whose} images"))


def _batches(scenes: SceneCache, label: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    with progress(label) as advance:
        for start in range(0, len(scenes), BATCH):
            stop = min(start + BATCH, len(scenes))
            yield scenes.take(range(start, stop))
            advance(stop, len(scenes))
