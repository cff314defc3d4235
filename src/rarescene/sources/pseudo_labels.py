"""Pseudo-labels: real frames without masks, labelled by a segmenter where it is sure (Lee 2013).

A pixel's label is the class of the highest predicted probability. Where that is lower than a threshold the
pixel is unlabelled, so that no segmentation loss touches it: a wrong label teaches more harm than a missing
one. Of a calibrated segmenter, at most one in ten of the pixels at a threshold of 0.9 is wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.evaluation.pair_scores import Judge
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.provenance import Provenance, Seen
from rarescene.foundation.run_record import RunRecord
from rarescene.scenes import ClassTable, SceneCache
from rarescene.scenes.data import Data, decode, open_as_in, open_unsplit, padding_of, say_doubt, unsplit
from rarescene.scenes.datasets.open import open_frames
from rarescene.sources.leakage import open_judge, real_segmenter, refuse_held_out
from rarescene.sources.mask_source import weights_hash
from rarescene.sources.set_writing import SetScene

SURE = 0.9
"""The least probability of a label, unless another one is asked for."""

BLOCK = 16
"""Frames that are predicted at once, whatever is missing, so that resumed sets are equal to the byte."""


class PseudoLabels:
    """Labels frames where a segmenter is sure.

    Args:
        judge: the segmenter.
        frames: decoded at its size; their masks are not looked at.
        sure: the least probability of a label.
        provenance: where frames and segmenter come from.
        made_by: what else a set's header says of it.

    Attributes:
        table: the classes of the labels.
        made_by: what a set's header says; a set is resumed with the same only.
    """

    def __init__(
        self,
        judge: Judge,
        frames: SceneCache,
        sure: float,
        provenance: Provenance,
        made_by: Mapping[str, Any],
    ) -> None:
        self.judge, self.frames, self.sure, self.provenance = judge, frames, sure, provenance
        self.table = judge.table
        self.made_by = {**made_by, "sure": sure, "frames": frames_digest(frames)}

    def __len__(self) -> int:
        return len(self.frames)

    def label(self, indices: Sequence[int]) -> list[SetScene | None]:
        """Return frames with their labels; None for one of which no pixel is sure.

        Args:
            indices: of a block; those beyond the last frame are the last one again.
        """
        last = len(self.frames) - 1
        taken = [min(index, last) for index in indices]
        images, _ = self.frames.take(taken)
        found = self.judge.probabilities(images)  # (B, C, H, W)
        sure, labels = found.max(axis=1), found.argmax(axis=1).astype(np.uint8)
        labels[sure < self.sure] = self.table.ignore_index
        return [
            self._scene(index, image, mask, confidence)
            for index, image, mask, confidence in zip(taken, images, labels, sure.clip(0, 1), strict=True)
        ]

    def _scene(
        self, index: int, image: np.ndarray, mask: np.ndarray, confidence: np.ndarray
    ) -> SetScene | None:
        labelled = float((mask != self.table.ignore_index).mean())
        if not labelled:
            return None
        record = self.frames.records[index]
        told = {
            "group": record.group, "order": record.order, "synthetic": False, "scene_of": record.name,
            "labelled": round(labelled, 4),
        }  # fmt: skip
        return SetScene(image, mask, told, confidence)


def open_pseudo_labels(
    run: Path,
    frames: str,
    *,
    sure: float = SURE,
    part: str = "all",
    split: str | None = None,
    group_by: str | None = None,
) -> PseudoLabels:
    """Open a segmenter that labels frames.

    Args:
        run: folder of a segmenter that was trained on real scenes alone.
        frames: a folder of images, or a data set, NAME:PATH or a YAML file, whose masks are not looked at.
        sure: the least probability of a label.
        part: of the split of such a data set; "all" is not split at all.
        split: instead of the split of the segmenter's data.
        group_by: instead of how their recordings were told apart.

    Raises:
        CheckpointError: the segmenter is none, or learned from synthetic or pseudo-labelled scenes.
        ConfigError: the options speak of a split, and nothing is split; recordings of one data set were told
            apart in two ways; or the frames, or those of the segmenter, are padded.
        DataError: there are no frames.
        LeakError: frames are of recordings that the segmenter's own data hold out.
    """
    record = real_segmenter(run)
    if padding_of(record):
        what = "was trained on padded frames, and would label the padding of others"
        raise ConfigError(what, "Give a segmenter whose data were not padded (pad=).", run)
    source = _opened(frames, record, part, split, group_by)
    if source.scenes.pad:
        what = f"{frames} is padded, and the padding would be labelled"
        raise ConfigError(what, "Leave pad= out; frames are labelled at the size that the segmenter sees.")
    chosen = source.part(part)
    if not chosen:
        raise ConfigError(f"the {part} part of {frames} is empty", "Choose another --part or --split.")
    if any("synthetic" in one.details for one in source.scenes.records):
        remedy = "Give the real frames that it was made from, or others."
        raise ConfigError(f"{frames} is a set that a command made, and no frames of a camera", remedy)
    places, trained = source.places(chosen), record.provenance
    refuse_held_out(places, trained, run)
    # what the segmenter has seen of a recording stays what it is where its split cut through that
    fresh = Seen.of(place for place in places if not trained.seen.covers(*place))
    behind = trained.union(replace(source.provenance(part), seen=fresh))
    judge = open_judge(run, record, _table(record))
    decoded = decode(source.scenes.subset(chosen), *judge.size)
    made_by = {
        "pseudolabel": frames, "part": part, "segmenter": record.config["segmenter"],
        "weights": weights_hash(run), "size": list(judge.size),
    }  # fmt: skip
    return PseudoLabels(judge, decoded, sure, behind, made_by)


def frames_digest(frames: SceneCache) -> str:
    """Return a short hash of frames as decoded, with their names and recordings, whatever their masks say."""
    digest = hashlib.sha256()
    for index, record in enumerate(frames.records):
        digest.update(repr((record.name, record.group, record.order)).encode())
        digest.update(frames.take([index])[0].tobytes())
    return digest.hexdigest()[:16]


def open_unlabelled(frames: str, table: ClassTable, group_by: str | None = None) -> Data:
    """Open frames that are all used: a folder of images, or a data set whose masks are not looked at.

    Args:
        frames: the folder; or NAME:PATH, or a YAML file.
        table: the class table that the scenes of a folder bear.
        group_by: regular expression that tells the recordings apart.

    Raises:
        ConfigError: it is neither, or a set that a command made.
        DataError: there are no frames.
    """
    if Path(frames).is_dir():
        source = unsplit(f"folder:{frames}", open_frames(Path(frames), table, group_by=group_by), group_by)
    elif ":" in frames or frames.endswith((".yaml", ".yml")):
        source = open_unsplit(frames, group_by)
    else:
        remedy = "Give a folder of images, or a data set: NAME:PATH, or a YAML file."
        raise ConfigError("is no folder of images and no data set", remedy, Path(frames))
    say_doubt(source.scenes)
    return source


def _opened(frames: str, trained: RunRecord, part: str, split: str | None, group_by: str | None) -> Data:
    """Return the frames, split where a part of them is asked for."""
    if part == "all":
        if split:
            remedy = "Add --part, or leave --split out."
            raise ConfigError("--split cuts into parts, and all frames are taken", remedy)
        pattern = group_by or trained.provenance.options["group_by"]
        return open_unlabelled(frames, _table(trained), pattern)
    if Path(frames).is_dir():
        remedy = "Leave --part out, or give a data set: NAME:PATH."
        raise ConfigError("is a folder of images, which has no parts", remedy, Path(frames))
    return open_as_in(trained.provenance, frames, split=split, group_by=group_by)


def _table(trained: RunRecord) -> ClassTable:
    return ClassTable.from_dict(trained.class_table)
