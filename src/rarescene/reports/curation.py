"""`curation.html`: which pairs of a synthetic set stayed, which went, and why, in one file and on a terminal.

Scores are fractions from 0 to 1 here and are shown in per cent; `None` means that there is nothing to score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from rarescene.evaluation.pair_scores import Judge, PairScores
from rarescene.foundation.run_record import RunRecord
from rarescene.reports.cards import PHANTOM_WARNING, Origins, origins_of
from rarescene.reports.formatting import count, number, percent, share
from rarescene.reports.gallery import Cell, GalleryRow, GalleryScene, gallery_rows
from rarescene.reports.report_page import class_colours, error_colours, has_errors, template
from rarescene.reports.tables import class_name, plain_table
from rarescene.scenes import SceneCache

if TYPE_CHECKING:
    from rarescene.augmentation import CurationConfig, Decision
    from rarescene.evaluation import CopyScores
    from rarescene.scenes import ClassTable

BLIND = 0.1
"""A segmenter that reaches less IoU than this on real frames does not know the class."""


@dataclass(frozen=True)
class CuratedClass:
    """What became of the pairs that show a class.

    Attributes:
        rare: whether its pairs were ranked among themselves (those that show a rarer class apart).
        pairs: how many showed it.
        kept: how many of those stayed.
        synthetic: mean IoU of the segmenter's prediction, over the pairs that show it; None without one.
        real: the same on real validation frames, or None.
    """

    name: str
    rare: bool
    pairs: int
    kept: int
    synthetic: float | None = None
    real: float | None = None


class DistanceRow(NamedTuple):
    """Distances to the nearest training frame: of whom, how many, how near, and the share of copies."""

    who: str
    number: int
    low: float | None = None
    median: float | None = None
    copies: float | None = None


def distance_rows(scores: CopyScores) -> list[DistanceRow]:
    """Return the synthetic images first, then real frames to read them against."""
    rows = []
    for who, distances in (
        ("synthetic image", scores.synthetic.distance),
        ("training frame, within its recording", scores.own),
        ("training frame, to other recordings", scores.other),
        ("validation frame", scores.held_out),
    ):
        known = distances[np.isfinite(distances)]
        rows.append(DistanceRow(who, len(known)))
        if len(known):
            low, median = (float(value) for value in np.quantile(known, [0.05, 0.5]))
            rate = None if scores.threshold is None else float(scores.copies(known).mean())
            rows[-1] = DistanceRow(who, len(known), low, median, rate)
    return rows


@dataclass(frozen=True)
class Histogram:
    """The values of one score, of pairs that stayed and of those that went.

    Attributes:
        limits: values that lines mark, by their labels.
        note: what the score is, in a sentence.
    """

    name: str
    kept: tuple[float, ...]
    dropped: tuple[float, ...]
    limits: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class CurationReport:
    """Everything on the page of a curation. An empty field leaves its section out.

    Attributes:
        summary: what was kept, and how it was chosen, in one or two sentences.
        pairs: how many there were.
        reasons: number of pairs by what became of them, in words; "kept" first.
        by_class: what became of each class.
        copies: how near pairs come to training frames, by each measure; the first decides.
        dropped: pairs that went, with the reason in the note of each.
        borderline: pairs right above and below the limit.
        warnings: what a reader must know before any number.
        notes: what must be read beside the numbers.
    """

    title: str
    summary: str
    classes: ClassTable
    pairs: int
    reasons: Mapping[str, int]
    by_class: tuple[CuratedClass, ...] = ()
    copies: tuple[CopyScores, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    dropped: tuple[GalleryRow, ...] = ()
    borderline: tuple[GalleryRow, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    phantom: bool = False
    provenance: Origins = field(default_factory=Origins)

    @property
    def kept(self) -> int:
        """How many pairs stayed."""
        return self.reasons.get("kept", 0)


def render_curation(report: CurationReport) -> str:
    """Return the page as HTML. Every text of it is escaped."""
    worst = "The worst of each reason and of each rare class in turn, by the score and not by eye."
    limit = "The last that stayed and the first that went, of each rare class in turn."
    galleries = (("Dropped", worst, report.dropped), ("Borderline", limit, report.borderline))
    return template("curation.html.j2").render(
        report=report,
        chips=class_colours(report.classes),
        distance_rows=distance_rows,
        galleries=[one for one in galleries if one[2]],
        has_errors=has_errors((*report.dropped, *report.borderline)),
        error_legend=error_colours(),
    )


def curation_table(report: CurationReport) -> RenderableType:
    """Return what was kept of each class, why pairs went, and how near they come to training frames."""
    heads = ("class", "pairs", "kept", "share", "IoU in pairs", "on real")
    table = plain_table(f"{report.kept:,} of {count(report.pairs, 'pair')} kept", *heads)
    table.add_column("", no_wrap=True)
    for entry in report.by_class:
        scores = (percent(entry.synthetic, missing="–"), percent(entry.real, missing="–"))
        part = share(entry.kept / entry.pairs) if entry.pairs else "–"
        cells = (f"{entry.pairs:,}", f"{entry.kept:,}", part, *scores, "rare" if entry.rare else "")
        table.add_row(class_name(entry.name, report.classes), *cells, style="bold" if entry.rare else "")
    parts: list[RenderableType] = [table]
    for one in report.copies:
        measured = ("number", "nearest 5 %", "median", "as near as a copy")
        near = plain_table(f"Nearest training frame: {one.measure}", "of", *measured)
        for row in distance_rows(one):
            near.add_row(row.who, f"{row.number:,}", number(row.low), number(row.median), share(row.copies))
        parts.append(near)
    gone = "; ".join(f"{words}: {number:,}" for words, number in report.reasons.items() if words != "kept")
    parts += [Text(f"dropped: {gone}")] if gone else []
    return Group(*parts, *(Text(note, style="dim") for note in report.notes))


REASONS = {
    "kept": "kept",
    "copy": "copy of a training frame",
    "request": "request not kept",
    "agreement": "agreement below the floor",
    "confidence": "confidence below the floor",
    "rank": "ranked too low",
}

RANKED_BY = {
    "agreement": "agreement over all classes",
    "rare_agreement": "agreement over the rare classes",
    "context_agreement": "agreement over the other classes",
    "confidence": "confidence of the map",
    "random": "chance",
}

HISTOGRAMS = {
    "agreement": "IoU of mask and prediction, mean over the classes of the mask",
    "rare_agreement": "IoU of mask and prediction, mean over the rare classes of the mask",
    "context_agreement": "IoU of mask and prediction, mean over its other classes",
    "confidence": "Mean confidence of the map",
    "request_kept": "1 where the mask shows all that was asked, in number and place",
    "features_distance": "Distance to the nearest training frame, in features",
    "pixels_distance": "Distance to the nearest training frame, in levels of thumbnails",
}


def curation_report(
    title: str,
    records: Sequence[RunRecord],
    cache: SceneCache,
    training: SceneCache,
    found: PairScores,
    decisions: Sequence[Decision],
    config: CurationConfig,
    judge: Judge | None,
    rows: int,
) -> CurationReport:
    """Return the content of the page.

    Args:
        records: of the set, of the segmenter if there is one, and of the curation.
        cache: the pairs, decoded.
        training: the training frames that copies were looked for among.
        judge: the segmenter, whose predictions the gallery shows.
        rows: gallery rows of dropped pairs, and as many of borderline ones.
    """
    kept = np.array([decision.kept for decision in decisions])
    reasons = Counter(decision.reason for decision in decisions)
    phantom = records[-1].provenance.phantom
    names = [cache.classes.names[index] for index in found.rare]
    gallery = _Gallery(cache, training, found, decisions, judge)
    return CurationReport(
        title=title,
        summary=(
            f"The best {100 * config.keep:g} % of the pairs of each rare class "
            f"({', '.join(names) or 'none'}) and of the others were to stay, by {RANKED_BY[config.by]}. "
            f"{int(kept.sum()):,} of {len(kept):,} did."
        ),
        classes=cache.classes,
        pairs=len(decisions),
        reasons={words: reasons[name] for name, words in REASONS.items() if reasons[name]},  # type: ignore[index]
        by_class=_by_class(cache, found, kept),
        copies=tuple(found.copies.values()),
        histograms=_histograms(cache, found, decisions, kept, config),
        dropped=gallery.dropped(rows),
        borderline=gallery.borderline(rows),
        warnings=(PHANTOM_WARNING,) if phantom else (),
        notes=_notes(cache, found),
        phantom=phantom,
        provenance=origins_of(records),
    )


def _by_class(cache: SceneCache, found: PairScores, kept: np.ndarray) -> tuple[CuratedClass, ...]:
    def known(values: np.ndarray | None, index: int) -> float | None:
        return None if values is None or np.isnan(values[index]) else float(values[index])

    shown = cache.class_pixels > 0
    order = [*found.rare, *(index for index in range(len(cache.classes)) if index not in found.rare)]
    return tuple(
        CuratedClass(
            name=cache.classes.names[index],
            rare=index in found.rare,
            pairs=int(shown[:, index].sum()),
            kept=int((shown[:, index] & kept).sum()),
            synthetic=known(found.iou, index),
            real=known(found.real_iou, index),
        )
        for index in order
    )


def _histograms(
    cache: SceneCache,
    found: PairScores,
    decisions: Sequence[Decision],
    kept: np.ndarray,
    config: CurationConfig,
) -> tuple[Histogram, ...]:
    limits: dict[str, dict[str, float]] = {name: {} for name in HISTOGRAMS}
    if config.by in limits:
        limits[config.by] |= _lowest_kept(cache, decisions)
    for name, floor in (("agreement", config.min_agreement), ("confidence", config.min_confidence)):
        if floor is not None:
            limits[name]["floor"] = floor
    for name, one in found.copies.items():
        if one.threshold is not None:
            limits[f"{name}_distance"]["copy"] = one.threshold
    shown = []
    for name, note in HISTOGRAMS.items():
        values = found.columns.get(name, np.empty(0))
        known = np.isfinite(values)
        if len(np.unique(values[known])) > 1:
            stay, go = (tuple(values[known & which].tolist()) for which in (kept, ~kept))
            shown.append(Histogram(name.replace("_", " "), stay, go, limits[name], f"{note}."))
    return tuple(shown)


def _lowest_kept(cache: SceneCache, decisions: Sequence[Decision]) -> dict[str, float]:
    """Return the lowest value that stayed, by part, where any of the part was ranked too low."""
    found = {}
    for part in dict.fromkeys(decision.part for decision in decisions):
        members = [decision for decision in decisions if decision.part == part]
        values = [decision.value for decision in members if decision.kept and np.isfinite(decision.value)]
        if values and any(decision.reason == "rank" for decision in members):
            found["others" if part is None else cache.classes.names[part]] = min(values)
    return found


def _notes(cache: SceneCache, found: PairScores) -> tuple[str, ...]:
    notes = []
    present, kept = (found.columns[f"request_{name}"] for name in ("present", "kept"))
    if (asked := int(np.isfinite(kept).sum())) and np.nanmin(kept) < 1:
        notes.append(
            f"Of {asked:,} requests, {int((present == 1).sum()):,} masks show every class asked for, and "
            f"{int((kept == 1).sum()):,} in the number and place asked for."
        )
    elif asked:
        notes.append("Every mask shows what was asked for, as masks of real frames do by definition.")
    if (real := found.real_iou) is not None:
        rare = [(cache.classes.names[index], float(real[index])) for index in found.rare]
        if names := [f"{name} ({100 * iou:.1f} %)" for name, iou in rare if iou < BLIND]:
            notes.append(
                f"The segmenter hardly knows {', '.join(names)} on real validation frames. There its "
                "agreement says little about the pairs; --by context_agreement ranks them by the rest of "
                "the scene."
            )
        if unseen := [name for name, iou in rare if np.isnan(iou)]:
            notes.append(f"No real validation frame shows {', '.join(unseen)}.")
    if next(iter(found.copies.values())).threshold is None:
        notes.append("All training frames are of one recording, so nothing tells what a copy is.")
    return tuple(notes)


@dataclass(frozen=True)
class _Gallery:
    """Chooses pairs by a rule and turns them into rows."""

    cache: SceneCache
    training: SceneCache
    found: PairScores
    decisions: Sequence[Decision]
    judge: Judge | None

    def dropped(self, rows: int) -> tuple[GalleryRow, ...]:
        """Return the worst of each reason and part, taking turns."""
        reasons = [reason for reason in REASONS if reason != "kept"]
        queues = [self._members(part, reason)[::-1] for reason in reasons for part in self._parts()]
        return self._rows(_in_turn(queues, rows))

    def borderline(self, rows: int) -> tuple[GalleryRow, ...]:
        """Return the last that stayed and the first that went by its rank, of each part in turn."""
        queues = []
        for part in self._parts():
            last, first = self._members(part, "kept")[::-1], self._members(part, "rank")
            queues.append([pair for both in zip(last, first, strict=False) for pair in both])
        return self._rows(_in_turn(queues, rows))

    def _parts(self) -> list[int | None]:
        """Return the rare classes that have pairs of their own, and None for the other pairs."""
        parts = {decision.part for decision in self.decisions}
        return [part for part in (*self.found.rare, None) if part in parts]

    def _members(self, part: int | None, reason: str) -> list[int]:
        """Return the pairs of a part and with an outcome, the best first."""
        members = [
            pair for pair, one in enumerate(self.decisions) if (one.part, one.reason) == (part, reason)
        ]
        return sorted(members, key=lambda pair: self.decisions[pair].rank)

    def _rows(self, pairs: Sequence[int]) -> tuple[GalleryRow, ...]:
        made = []
        for pair in pairs:
            scene = self.cache[pair]
            seen = {} if self.judge is None else {"segmenter": self.judge.predict(scene.image[None])[0]}
            targets = tuple(index for index in self.found.rare if (scene.mask == index).any())
            shown = GalleryScene(
                f"pair {scene.record.details['index']}", scene.record.group, scene.mask, None,
                {"synthetic": scene.image}, seen, targets, note=self._why(pair),
            )  # fmt: skip
            row = gallery_rows([shown], self.cache.classes)[0]
            near = self.training[int(self.found.nearest[pair])]
            words = f"Training frame {near.record.name}, the nearest to pair {pair}"
            cell = Cell("nearest training frame", near.image, words)
            made.append(replace(row, cells=(*row.cells, cell)))
        return tuple(made)

    def _why(self, pair: int) -> str:
        """Return what became of a pair, and its scores, in words."""
        decision, scores = self.decisions[pair], self.found.of(pair)
        others = "the other pairs" if decision.part is None else self.cache.classes.names[decision.part]
        size = sum(one.part == decision.part for one in self.decisions)
        told = [f"{REASONS[decision.reason]}: number {decision.rank} of {size} among {others}"]
        for name in ("agreement", "rare_agreement", "confidence", "request_present"):
            if name in scores:
                told.append(f"{name.replace('_', ' ')} {100 * scores[name]:.0f} %")
        for name, one in self.found.copies.items():
            limit = "" if one.threshold is None else f" (copy: {number(one.threshold)})"
            told.append(f"{name} {number(scores[f'{name}_distance'])} from the nearest{limit}")
        return "; ".join(told)


def _in_turn(queues: Sequence[Sequence[int]], count: int) -> list[int]:
    """Return up to `count` entries, one of each queue after the other."""
    longest = max(map(len, queues), default=0)
    return [queue[place] for place in range(longest) for queue in queues if place < len(queue)][:count]
