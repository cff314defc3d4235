"""RO, SO, copies and distances of synthetic sets, measured; `coherence.py` shows them.

The segmenters that measure are trained already. Real frames stand beside the sets: among copies those that
nothing was trained on, among distances training frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rarescene.evaluation.config import CopyConfig
from rarescene.evaluation.pair_scores import CopyCheck
from rarescene.foundation.errors import CheckpointError, DataError
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.reports.cards import PHANTOM_WARNING
from rarescene.reports.realism import distances_to_real, paired_measures, realism_config
from rarescene.scenes import SceneSet
from rarescene.scenes.data import Data, decode
from rarescene.sources.leakage import open_judge, open_pairs, real_segmenter

if TYPE_CHECKING:
    from rarescene.evaluation.config import RealismConfig

from rarescene.reports.coherence import CoherenceReport, SetCoherence


@dataclass(frozen=True)
class PairSet:
    """A synthetic set, opened."""

    folder: Path
    record: RunRecord
    scenes: SceneSet

    @property
    def guidance(self) -> float | None:
        """The guidance scale that it was sampled with; None where there is none."""
        scale = (self.record.config.get("sampling") or {}).get("guidance")
        return None if scale is None else float(scale)


def open_set(folder: Path, source: Data) -> PairSet:
    """Open a synthetic set that is to be measured on these data.

    Raises:
        DataError: it is not finished, or holds masks alone.
        LeakError: it was made from validation or test recordings.
    """
    record = read_record(folder, "scene set")
    scenes = open_pairs(folder, record, source)
    scenes.need_images()
    return PairSet(folder, record, scenes)


def measure(
    pairs: PairSet,
    source: Data,
    real: Path,
    synthetic: Path | None = None,
    *,
    name: str | None = None,
    rare: Sequence[str] = (),
    score: Literal["iou", "dice"] = "iou",
    copies: CopyConfig = CopyConfig(),  # noqa: B008 - frozen
    compared: RealismConfig | None = None,
) -> SetCoherence:
    """Measure one set: RO, SO, copies, distances.

    Pairs and test scenes are scored at the size of the pairs, so that the shares compare like with like.

    Args:
        real: run of a segmenter trained on real scenes alone.
        synthetic: run of the same segmenter, trained on the pairs alone; None leaves SO out.
        name: what tables call the set; by default its folder's name.
        rare: classes that come first, and have a mean of their own.

    Raises:
        LeakError: a segmenter saw test recordings.
        CheckpointError: a segmenter was trained on something else than it should have been.
    """
    from rarescene.evaluation import coherence_scores

    judge = real_segmenter(real)
    never_saw_test(judge, source, real)
    learner = None
    if synthetic is not None:
        learner = synthetic_segmenter(synthetic, pairs.folder, judge)
        never_saw_test(learner, source, synthetic)
    table, split = source.scenes.classes, source.split
    cache = decode(pairs.scenes, *pairs.scenes.mask(0).shape)
    test = decode(source.scenes.subset(split.test), *cache.size)
    if not split.train:
        raise DataError(f"{source.spec} has no training frames", "Choose another --split.")
    training = decode(source.scenes.subset(split.train), *cache.size)
    unseen = decode(source.scenes.subset((*split.validation, *split.test)), *cache.size)

    # A pair that was made from no recording counts as one of its own.
    known, recordings = set(source.scenes.groups), list(test.recordings)
    groups = [one.group if one.group in known else one.name for one in pairs.scenes.records]
    who = open_judge(real, judge, table)
    on_real = who.overlaps(test, recordings, "real on real")
    ro = who.overlaps(cache, groups, "real on synthetic")
    so = None
    if synthetic is not None and learner is not None:
        so = open_judge(synthetic, learner, table).overlaps(test, recordings, "synthetic on real")
    return SetCoherence(
        name=name or pairs.folder.resolve().name,
        guidance=pairs.guidance,
        scores=coherence_scores(on_real, ro, so, table.names, rare=rare, score=score),
        copies=CopyCheck(training, unseen, copies).rates(cache, groups),
        realism=(
            *distances_to_real(cache, test, training, compared or realism_config(None)),
            *paired_measures(pairs.folder),
        ),
    )


ALONE = 1.0
"""Probability with which a scene of a batch is synthetic: always."""


def synthetic_segmenter(run: Path, pairs: Path, real: RunRecord) -> RunRecord:
    """Return the record of a segmenter that was trained on these pairs alone, and else as the real one.

    Raises:
        CheckpointError: it was not.
    """
    record = read_record(run, "segmenter")
    remedy = (
        f"Train it with --strategy offline --synthetic {pairs} --offline.probability 1 and the other options "
        "of the run on real scenes, its --seed too, or leave --synthetic out, to have it trained."
    )
    if record.finished is None:
        raise CheckpointError("the segmenter is not fully trained", "End it with --resume.", run)
    config = record.config
    settings = (config.get("strategies") or {}).get("offline", {})
    if settings.get("probability") != ALONE or config.get("generator"):
        raise CheckpointError("was not trained on synthetic pairs alone", remedy, run)
    if Path(config["synthetic"]).resolve() != pairs.resolve():
        raise CheckpointError(f"was trained on other pairs ({config['synthetic']})", remedy, run)
    differ = [name for name in _ALIKE if config[name] != real.config[name]]
    differ += ["classic"] if classic_of(record) != classic_of(real) else []
    differ += ["seed"] if record.seed != real.seed else []
    if differ:
        what = f"is another segmenter than the one trained on real scenes: {', '.join(differ)} differ"
        raise CheckpointError(what, remedy, run)
    return record


_ALIKE = ("segmenter", "model", "training", "augment", "height", "width")
"""Settings that the two segmenters must share."""


def classic_of(record: RunRecord) -> Mapping[str, Any] | None:
    """Return the settings of classic augmentation, the one strategy that suits pairs as it suits frames.

    A run on real scenes alone may name no strategy.
    """
    return (record.config.get("strategies") or {}).get("classic")


def never_saw_test(record: RunRecord, source: Data, run: Path) -> None:
    """Raise `LeakError` if a segmenter saw test scenes."""
    record.provenance.seen.refuse(source.places(source.split.test), "the segmenter", run)


def coherence_report(
    found: Sequence[SetCoherence], sets: Sequence[PairSet], source: Data, judge: RunRecord, record: RunRecord
) -> CoherenceReport:
    """Return the page about sets that were `found` to be so.

    `judge` is the record of the segmenter that was trained on real data, `record` that of the measurement.
    """
    config, parts = judge.config, record.provenance.recordings
    height, width = sets[0].scenes.mask(0).shape
    settings = (
        f"{config['segmenter']}, {config['training']['steps']} steps of {config['training']['batch_size']}, "
        f"one seed ({judge.seed}): intervals are over recordings and say nothing of another training.",
        f"{source.scenes.name}, split {source.split.how!r}: {len(parts['train'])} training, "
        f"{len(parts['validation'])} validation and {len(parts['test'])} test recordings; "
        f"scored at {width}×{height}.",
        "Where pairs were made from no recording, the intervals of RO are over pairs.",
        "Real frames, copies: validation and test frames, as near to a training frame as a copy; distances: "
        "as many training frames to the same test frames.",
    )
    warnings = (PHANTOM_WARNING,) if record.provenance.phantom else ()
    return CoherenceReport(
        title="Coherence of synthetic pairs: RO and SO",
        settings=settings,
        sets=tuple(found),
        swept=_swept(sets),
        command=record.command,
        warnings=warnings + ((source.split.warning,) if source.split.warning else ()),
    )


def _swept(sets: Sequence[PairSet]) -> bool:
    """Return whether several sets differ in their guidance scale, and in nothing else."""
    scales = [one.guidance for one in sets]
    if len(sets) < 2 or None in scales or len(set(scales)) < len(scales):
        return False
    rest: list[dict[str, Any]] = []
    for one in sets:
        config = dict(one.record.config)
        config["sampling"] = {**config["sampling"], "guidance": None}
        rest.append(config)
    return all(config == rest[0] for config in rest)
