"""Overlap of predicted and reference masks, from the confusion matrix of the whole data set.

They answer different questions:

- per class: IoU and Dice of the matrix summed over all frames, so that large appearances count most.
- label mean: mean of these over the classes that the reference shows. A class that is only ever predicted has
  no IoU here; its false pixels are reported, and they lower the scores of the classes that they cover.
- sample mean: each frame's mean over the classes in its reference *or* its prediction, so that a class
  imagined in a frame counts as 0 there; then the mean over frames.
- sample median: the median over frames of the same.

A class that neither mask shows is absent: it has no score, and is never NaN or 1. Pixels with the ignore
index in the reference count nowhere. Intervals resample recordings, never frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarescene.evaluation.bootstrap import (
    Counts,
    Floats,
    Interval,
    few_recordings_note,
    known_or_none,
    mean_of_known,
    percentile_interval,
    resample_counts,
    resampled_mean,
    resampled_median,
)
from rarescene.evaluation.config import BootstrapConfig
from rarescene.evaluation.confusion import (
    Confusion,
    confusion_matrices,
    hits_and_totals,
    scores_in_reference,
    scores_of,
)
from rarescene.foundation.configs import config_from
from rarescene.foundation.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RecordingOverlap:
    """What is kept of one recording; two of them add up.

    Attributes:
        confusion: pixels, int64 `(C, C)`, rows by reference, columns by prediction.
        frames: frames whose reference shows the class, int64 `(C,)`.
        sample_iou: each frame's mean IoU over the classes in its reference or prediction, `(N,)`.
        sample_dice: the same of Dice. Frames without a labelled pixel are in neither.
    """

    confusion: Confusion
    frames: NDArray[np.int64]
    sample_iou: Floats
    sample_dice: Floats

    def __add__(self, other: RecordingOverlap) -> RecordingOverlap:
        return RecordingOverlap(
            self.confusion + other.confusion,
            self.frames + other.frames,
            np.concatenate([self.sample_iou, other.sample_iou]),
            np.concatenate([self.sample_dice, other.sample_dice]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; `from_dict` takes them back."""
        return {name: values.tolist() for name, values in vars(self).items()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> RecordingOverlap:
        """Return what `to_dict` wrote."""
        confusion, frames = (np.asarray(value[name], np.int64) for name in ("confusion", "frames"))
        iou, dice = (np.asarray(value[name], np.float64) for name in ("sample_iou", "sample_dice"))
        if confusion.shape != (len(frames), len(frames)) or iou.shape != dice.shape:
            raise ValueError("the scores of a recording do not fit each other")
        return cls(confusion, frames, iou, dice)


@dataclass(frozen=True)
class ClassOverlap:
    """The scores of one class; None where there is nothing to score.

    Attributes:
        iou: intersection over union, 0 to 1; None if the reference never shows the class.
        dice: Dice coefficient, 0 to 1; None likewise.
        iou_interval: bootstrap interval over recordings; None if fewer than two recordings show the class.
        pixels: labelled pixels of the class in the reference.
        false_pixels: pixels predicted as the class where the reference says another.
    """

    name: str
    iou: float | None
    dice: float | None
    iou_interval: Interval | None
    dice_interval: Interval | None
    pixels: int
    false_pixels: int
    frames: int
    recordings: int

    @property
    def absent(self) -> bool:
        """Whether neither the reference nor the prediction ever shows the class."""
        return self.pixels == 0 and self.false_pixels == 0

    def __str__(self) -> str:
        if self.absent:
            return f"{self.name}: absent"
        if self.iou is None:
            return f"{self.name}: absent from the reference, predicted in {self.false_pixels} pixels"
        interval = f" {self.iou_interval}" if self.iou_interval else ""
        return f"{self.name}: IoU {self.iou:.3f}{interval}, Dice {self.dice:.3f}"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; `from_dict` takes them back."""
        return asdict(self) | {"absent": self.absent}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ClassOverlap:
        """Return what `to_dict` wrote."""
        return config_from(cls, {name: one for name, one in value.items() if name != "absent"})


@dataclass(frozen=True)
class MeanOverlap:
    """One summary over classes or frames, with intervals over recordings (None with a single recording)."""

    iou: float
    dice: float
    iou_interval: Interval | None
    dice_interval: Interval | None

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> MeanOverlap:
        """Return what `asdict` gave."""
        return config_from(cls, value)


@dataclass(frozen=True)
class OverlapScores:
    """All scores of one segmenter on one set of scenes; `notes` must be printed beside them."""

    classes: tuple[ClassOverlap, ...]
    label_mean: MeanOverlap
    sample_mean: MeanOverlap
    sample_median: MeanOverlap
    frames: int
    recordings: tuple[str, ...]
    notes: tuple[str, ...]
    bootstrap: BootstrapConfig

    def of(self, name: str) -> ClassOverlap:
        """Return the scores of the class called `name`. Raises `KeyError` if there is none."""
        return {entry.name: entry for entry in self.classes}[name]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; `from_dict` takes them back."""
        return asdict(self) | {"classes": [entry.to_dict() for entry in self.classes]}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> OverlapScores:
        """Return what `to_dict` wrote."""
        return config_from(
            cls, {**value, "classes": [ClassOverlap.from_dict(one) for one in value["classes"]]}
        )


class OverlapMeter:
    """Gathers predictions batch by batch.

    Args:
        classes: the class names, in the order of their ids.

    Attributes:
        recordings: what was gathered, by recording.
    """

    def __init__(self, classes: Sequence[str], ignore_index: int = 255) -> None:
        self.classes = tuple(classes)
        self.ignore_index = ignore_index
        self.recordings: dict[str, RecordingOverlap] = {}

    def update(
        self, predictions: Tensor | ArrayLike, masks: Tensor | ArrayLike, groups: Sequence[str]
    ) -> None:
        """Add a batch.

        Args:
            predictions: predicted class ids `(B, H, W)`.
            masks: reference ids `(B, H, W)`, the ignore index where unlabelled.
            groups: the recording of each frame.

        Raises:
            DataError: shapes differ, or an id is that of no class.
        """
        matrices = confusion_matrices(predictions, masks, len(self.classes), self.ignore_index)
        if len(groups) != len(matrices):
            remedy = "Name the recording of every frame."
            raise DataError(f"{len(matrices)} masks came with {len(groups)} recordings", remedy)
        hits, reference, predicted = hits_and_totals(matrices)
        sample_iou, sample_dice = (mean_of_known(s) for s in scores_of(hits, reference, predicted))
        for index, group in enumerate(groups):
            labelled = slice(index, index + 1) if reference[index].any() else slice(0)
            shown = (reference[index] > 0).astype(np.int64)
            frame = RecordingOverlap(matrices[index], shown, sample_iou[labelled], sample_dice[labelled])
            self.merge({group: frame})

    def merge(self, recordings: Mapping[str, RecordingOverlap]) -> None:
        """Add what another meter gathered, for instance on another rank."""
        for name, overlap in recordings.items():
            self.recordings[name] = self.recordings[name] + overlap if name in self.recordings else overlap

    def result(self, bootstrap: BootstrapConfig | None = None) -> OverlapScores:
        """Return the scores of all that was added. Raises `DataError` if no labelled pixel was."""
        return overlap_scores(self.recordings, self.classes, bootstrap)


def added_up(recordings: Iterable[RecordingOverlap]) -> Confusion:
    """Return the confusion of all recordings together, int64 `(C, C)`."""
    first, *others = (one.confusion for one in recordings)
    return sum(others, first)


def class_iou(recordings: Iterable[RecordingOverlap], classes: Sequence[str]) -> dict[str, float | None]:
    """Return the IoU of each class, by name, over all recordings together; None where no mask shows it."""
    if not (scored := list(recordings)):
        return dict.fromkeys(classes)
    iou = scores_in_reference(*hits_and_totals(added_up(scored)))[0]
    return {name: known_or_none(float(value)) for name, value in zip(classes, iou, strict=True)}


def overlap_scores(
    recordings: Mapping[str, RecordingOverlap],
    classes: Sequence[str],
    bootstrap: BootstrapConfig | None = None,
) -> OverlapScores:
    """Return the scores of what was gathered, `recordings` by name, with intervals over these recordings.

    Raises:
        DataError: there is no labelled pixel.
    """
    config = bootstrap or BootstrapConfig()
    names = tuple(sorted(recordings))
    if not any(part.confusion.any() for part in recordings.values()):
        remedy = "Check that the masks are not empty or ignored throughout."
        raise DataError("no labelled pixel was scored", remedy)
    draws = resample_counts(len(names), config)  # (resamples, R)
    found = Resampled(recordings, draws)
    shown_in = (found.counts[1] > 0).sum(axis=0)  # recordings whose reference shows the class, (C,)
    frames = np.sum([part.frames for part in recordings.values()], axis=0)
    hits, reference, predicted = found.counts.sum(axis=1)

    def intervals(resampled: Floats, several: bool) -> tuple[Interval | None, Interval | None]:
        iou, dice = (percentile_interval(one, config) if several else None for one in resampled)
        return iou, dice

    def summary(values: Floats, resampled: Floats) -> MeanOverlap:
        return MeanOverlap(float(values[0]), float(values[1]), *intervals(resampled, len(names) > 1))

    entries = [
        ClassOverlap(
            name,
            known_or_none(found.whole[0, c]),
            known_or_none(found.whole[1, c]),
            *intervals(found.resampled[..., c], shown_in[c] > 1),
            pixels=int(reference[c]),
            false_pixels=int(predicted[c] - hits[c]),
            frames=int(frames[c]),
            recordings=int(shown_in[c]),
        )
        for c, name in enumerate(classes)
    ]
    means, medians = (
        np.stack([resample(sample, found.owner, draws) for sample in found.samples])
        for resample in (resampled_mean, resampled_median)
    )
    return OverlapScores(
        classes=tuple(entries),
        label_mean=summary(mean_of_known(found.whole), mean_of_known(found.resampled)),
        sample_mean=summary(np.mean(found.samples, axis=1), means),
        sample_median=summary(np.median(found.samples, axis=1), medians),
        frames=len(found.owner),
        recordings=names,
        notes=_notes(entries, len(names)),
        bootstrap=config,
    )


class Resampled:
    """The scores of R recordings of C classes, of all together, of each resample and of each recording.

    Args:
        recordings: what was gathered, by name; the names sorted give the order.
        draws: how often each recording is drawn, `(resamples, R)`.

    Attributes:
        counts: pixels that agree, of the reference, and predicted, int64 `(3, R, C)`.
        whole: IoU and Dice of all recordings, `(2, C)`; NaN for a class that the reference does not show.
        resampled: the same of each resample, `(2, resamples, C)`.
        single: the same of each recording, `(2, R, C)`.
        samples: IoU and Dice of each frame, `(2, N)`.
        owner: the index of each frame's recording, `(N,)`.
    """

    def __init__(self, recordings: Mapping[str, RecordingOverlap], draws: Counts) -> None:
        parts = [recordings[name] for name in sorted(recordings)]
        self.counts = np.stack(hits_and_totals(np.stack([part.confusion for part in parts])))
        self.whole, self.resampled, self.single = (
            scores_in_reference(*counts)
            for counts in (self.counts.sum(axis=1), draws @ self.counts, self.counts)
        )
        self.samples = np.concatenate([[part.sample_iou, part.sample_dice] for part in parts], axis=1)
        self.owner = np.repeat(np.arange(len(parts)), [len(part.sample_iou) for part in parts])


def _notes(classes: Sequence[ClassOverlap], recordings: int) -> tuple[str, ...]:
    notes = list(filter(None, [few_recordings_note(recordings)]))
    absent = [entry.name for entry in classes if entry.absent]
    if absent:
        notes.append(f"Absent from reference and prediction, so without a score: {', '.join(absent)}.")
    imagined = [
        f"{entry.name} ({entry.false_pixels} pixels)"
        for entry in classes
        if entry.iou is None and not entry.absent
    ]
    if imagined:
        notes.append(
            f"Predicted but never in the reference, so outside the label mean: {', '.join(imagined)}."
        )
    lone = [entry.name for entry in classes if entry.recordings == 1]
    if lone and recordings > 1:
        notes.append(f"Shown by one recording only, so without an interval: {', '.join(lone)}.")
    return tuple(notes)
