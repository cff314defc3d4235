"""`rarescene curate`: the pairs of a synthetic set that are worth training on, and a page about the others.

Pairs are measured, then chosen, then copied: the set that they came from stays as it is, and the new one can
be used wherever the old one could.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rarescene.augmentation.curation import CurationConfig, RankedBy
from rarescene.evaluation.config import CopyConfig
from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import CountOrNone, Range, Seed, Share
from rarescene.foundation.console import say, show
from rarescene.foundation.errors import ConfigError, DataError
from rarescene.foundation.files import file_hash, write_json_lines, write_text
from rarescene.foundation.outputs import writes_folder
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.reports.cards import write_set_card
from rarescene.scenes import SceneCache, SceneSet
from rarescene.scenes.data import Data, decode, open_as_in
from rarescene.scenes.statistics import rare_classes
from rarescene.scenes.store import HEADER
from rarescene.sources.leakage import open_judge, open_pairs, real_segmenter
from rarescene.training.ranks import accelerator

if TYPE_CHECKING:
    from rarescene.augmentation import Decision
    from rarescene.evaluation.pair_scores import PairScores

SCORES = "scores.jsonl"
"""The scores of every pair of the set that was curated, and what became of it."""

PAGE = "curation.html"


@takes_text_for_paths
@writes_folder("curation", "scene set")
def curate(
    pairs: Path,
    *,
    out: Path,
    segmenter: Path | None = None,
    data: str | None = None,
    keep: Annotated[float, Range(above=0, most=1)] = 0.8,
    by: RankedBy = "agreement",
    classes: str = "",
    min_agreement: Share | None = None,
    min_confidence: Share | None = None,
    drop_copies: bool = False,
    require_request: Literal["no", "present", "kept"] = "no",
    copies: CopyConfig = CopyConfig(),  # noqa: B008 - frozen
    split: str | None = None,
    group_by: str | None = None,
    rows: CountOrNone = 8,
    seed: Seed = 0,
    resume: bool = False,
) -> None:
    """Keep the best pairs of a synthetic set: a new set, and a page that shows what was dropped and why.

    Pairs of each rare class are ranked among themselves, and the same share of each is kept: the segmenter
    that judges them knows rare classes least, and would otherwise drop what the set was made for.

    Args:
        pairs: folder of a synthetic set; nothing in it is changed.
        out: folder of the new set, with the page (curation.html) and the scores of all pairs (scores.jsonl).
        segmenter: folder of a `rarescene segment` run that was trained on real scenes alone.
        data: real data among whose training frames copies are looked for; by default the segmenter's, or
            those whose masks the pairs were generated for.
        keep: share to keep of the pairs that nothing else drops, of each rare class and of the rest; above 0,
            at most 1.
        by: what they are ranked by: agreement (IoU of mask and prediction, over all classes of the mask),
            rare_agreement (its rare classes), context_agreement (its other classes), confidence (of generated
            maps), or random (what a curation has to beat).
        classes: comma-separated rare classes; by default those that the set was generated for, or else those
            that the statistics of the data call rare.
        min_agreement: drop every pair whose agreement is lower than this, 0 to 1.
        min_confidence: likewise its mean confidence.
        drop_copies: drop pairs that lie as near to a training frame as frames of other recordings hardly do.
        require_request: drop pairs whose mask lacks a class that was asked for (present), or has it in
            another number or place (kept).
        copies: how copies are looked for.
        split: how DATA is split; by default as the segmenter's were.
        group_by: regular expression that tells the recordings of a folder apart; by default the segmenter's.
        rows: gallery rows of dropped pairs, and as many of borderline ones.
        seed: seed of the random order.
        resume: go on with a curation that was stopped while it copied files.

    Raises:
        LeakError: the set or the segmenter saw recordings that are held out.
    """
    from rarescene.augmentation import choose_pairs
    from rarescene.evaluation.pair_scores import score_pairs
    from rarescene.reports import curation_table, render_curation
    from rarescene.reports.curation import curation_report
    from rarescene.scenes import SceneSetWriter

    began = time.perf_counter()
    config = CurationConfig(keep, by, min_agreement, min_confidence, drop_copies, require_request, seed)
    if segmenter is None and (min_agreement is not None or by.endswith("agreement")):
        remedy = "Give --segmenter, a segmenter trained on real scenes, or rank --by confidence or random."
        raise ConfigError("agreement needs a segmenter", remedy)
    if out.resolve() == pairs.resolve():
        raise ConfigError("is the set itself", "Choose another --out; a set is never changed.", out)
    made = read_record(pairs, "scene set")
    trained = None if segmenter is None else real_segmenter(segmenter)
    source = open_as_in((trained or made).provenance, data, split=split, group_by=group_by)
    synthetic = open_pairs(pairs, made, source)
    synthetic.need_images()
    table = source.scenes.classes
    judge = None
    if trained is not None and segmenter is not None:
        held_out = source.places((*source.split.validation, *source.split.test))
        trained.provenance.seen.refuse(held_out, "the segmenter", segmenter)
        judge = open_judge(segmenter, trained, table)
    rare = table.ids_of(rare_classes(source, classes or str(made.config.get("classes") or "")))

    cache = decode(synthetic, *synthetic.mask(0).shape)
    training, validation = (_real(source, part, cache.size) for part in ("train", "validation"))
    if training is None:
        raise DataError(f"{source.spec} has no training frames", "Choose another --split.")
    found = score_pairs(synthetic, cache, training, validation, judge, rare, copies)
    decisions = choose_pairs(found.columns, cache.class_pixels > 0, rare, config)
    kept = [index for index, decision in enumerate(decisions) if decision.kept]
    if not kept:
        reasons = ", ".join(sorted({decision.reason for decision in decisions}))
        raise DataError(f"no pair is left ({reasons})", "Loosen what drops them.", pairs)

    settings = {
        "of": str(pairs), "manifest": file_hash(pairs / "manifest.jsonl"),
        "segmenter": None if segmenter is None else str(segmenter),
        "weights": None if segmenter is None else file_hash(segmenter / "model" / "weights.safetensors"),
        "decoded": {
            part: one.digest
            for part, one in {"pairs": cache, "train": training, "validation": validation}.items() if one
        },
        "data": source.spec, "classes": [table.names[index] for index in rare], **asdict(config),
        "copies": asdict(copies),
    }  # fmt: skip
    record = _record(made, trained, source, settings, len(kept), seed)
    header = {
        "curation": settings,
        "licence": record.provenance.licence,
        "seen": record.provenance.seen.spans,
    }
    if not (out / HEADER).is_file():
        record.write(out)  # first of all, since it tells whose folder it is
    writer = SceneSetWriter(out, table, header)
    for index in kept:
        line = synthetic.records[index].details
        scores = {**line.get("scores", {}), **found.of(index)}
        near = training.records[found.nearest[index]].name
        writer.adopt(pairs, {**line, "scores": scores, "nearest_training_frame": near})
    curated = writer.finish()
    write_json_lines(out / SCORES, _lines(synthetic, training, found, decisions))
    counts = {"pairs": len(kept), "dropped": len(cache) - len(kept)}
    ended = record.ended(time.perf_counter() - began, counts)

    records = [made, *([] if trained is None else [trained]), ended]
    title = f"What was kept of {pairs.resolve().name}"
    page = curation_report(title, records, cache, training, found, decisions, config, judge, rows)
    write_text(out / PAGE, render_curation(page))
    write_set_card(out, ended, made, curated, filtered=page.summary)
    ended.write(out)
    show(curation_table(page))
    say(f"{len(kept)} of {len(cache)} pairs in {out}; what was dropped, and why: {out / PAGE}")


def _real(source: Data, part: str, size: tuple[int, int]) -> SceneCache | None:
    """Return the real frames of a part of the split, at the size of the pairs; None where there are none."""
    indices = source.part(part)
    return decode(source.scenes.subset(indices), *size) if indices else None


def _record(
    made: RunRecord, trained: RunRecord | None, source: Data, settings: dict[str, Any], kept: int, seed: int
) -> RunRecord:
    """Return the new set's record: that of the old one, with all that the choice depends on."""
    judged_by = () if trained is None else (trained.provenance,)
    return RunRecord.begin(
        kind="scene set",
        config={**made.config, "count": kept, "curation": settings},
        seed=seed,
        provenance=made.provenance.union(source.provenance(), *judged_by),
        class_table=made.class_table,
        accelerator=accelerator(),
    )


def _lines(
    synthetic: SceneSet,
    training: SceneCache,
    found: PairScores,
    decisions: Sequence[Decision],
) -> list[dict[str, Any]]:
    """Return one line a pair: its scores, and what became of it."""
    return [
        {
            "index": record.details["index"],
            "decision": decision.reason,
            "ranked_among": None if decision.part is None else synthetic.classes.names[decision.part],
            "rank": decision.rank,
            "nearest_training_frame": training.records[near].name,
            "scores": found.of(index),
        }
        for index, (record, decision, near) in enumerate(
            zip(synthetic.records, decisions, found.nearest, strict=True)
        )
    ]
