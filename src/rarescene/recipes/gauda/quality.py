"""Table 5 and Figure 5: how real pairs look, and whether image and mask belong together (RO and SO).

RO: segmenters trained on real frames, scored on the pairs. SO: the same segmenters trained on the pairs
alone, scored on the real test frames. Both beside real on real, and beside the rate of copies, which
maximise both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.evaluation import CoherenceScores, CopyRate, Share, coherence_scores
from rarescene.evaluation.config import CopyConfig, RealismConfig
from rarescene.evaluation.pair_scores import CopyCheck
from rarescene.foundation.run_record import read_record
from rarescene.generators.datasetgan_config import DatasetGanConfig
from rarescene.recipes.gauda.published import TABLE_5
from rarescene.recipes.gauda.scale import PAPER, TITLES, DataName
from rarescene.recipes.gauda.study import Cells, GaudaStudy, Generator, seeds_of
from rarescene.recipes.outcome import MISSING, NOT_TRAINED, Outcome, Sheet, percent
from rarescene.recipes.study import Scores
from rarescene.reports import Chart, Line, Measure, charts_picture
from rarescene.reports.coherence import share_line
from rarescene.reports.realism import distances_to_real
from rarescene.scenes import open_scenes
from rarescene.scenes.data import decode

METHODS: Mapping[str, Generator] = {"LDM": "joint", "DatasetGAN": "datasetgan"}


@dataclass(frozen=True)
class Judged:
    """One generator's pairs, measured.

    Attributes:
        coherence: RO and SO, of the judges of all seeds together; SO beside those of its own seeds.
        learners: how many seeds SO is of.
        copies: rate of copies, in the measure that decides.
        distances: Fréchet and kernel distance to real test frames, beside those of training frames.
        seconds: training of the generator and of all that it builds upon.
    """

    pairs: Path
    coherence: CoherenceScores
    learners: int
    copies: CopyRate
    distances: tuple[Measure, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "coherence": self.coherence.to_dict(), "copies": asdict(self.copies), "seconds": self.seconds,
            "distances": [asdict(measure) for measure in self.distances],
        }  # fmt: skip


Found = Mapping[tuple[str, str], Judged | None]
"""(method, title of the data) → what was measured; None where it is not trained."""


def table5(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Table 5: latent diffusion against DatasetGAN."""
    out = Outcome("gauda-table5", scale, "GAUDA, Table 5: latent diffusion and DatasetGAN")
    found: dict[tuple[str, str], Judged | None] = {}
    sizes = next(iter(studies.values())).scale
    for data, study in studies.items():
        out.say(*study.titled_notes())
        for method, name in METHODS.items():
            one = found[method, study.title] = _judged(study, name)
            if one is not None:
                made = {f"{method}, {data}": study.generator(name).path}
                out.used(made | {f"pairs of {method}, {data}": one.pairs})
                seeds = f"{one.learners} of {len(sizes.seeds)} seeds"
                what = f"SO of {seeds}, its share of real on real of the same seeds"
                out.say(*one.coherence.notes, f"{method}, {study.title}: {what}.")
    printed = tuple(
        (method, TITLES[data], f"{fid:.2f}", f"{kid:.3f} ± {spread:.3f}", percent(ro), percent(so))
        for (method, data), (fid, kid, spread, ro, so) in TABLE_5.items()
    )
    title = "The paper's (FID and KID of Inception; its own data, size and split)"
    heads = ("method", "data", "FID ↓", "KID ↓", "RO ↑", "SO ↑")
    out.sheets = [_like_the_paper(found), Sheet(title, heads, printed), _shares(found), _budget(found)]
    out.say(
        f"RO and SO: label mean of {TITLES[sizes.judge]}, the confusion of all seeds together; intervals "
        "over pairs (RO) and over test recordings (SO).",
        "Distances are between distributions of images, in the features of the network that they are "
        "named after, and no FID; beside them, in brackets, those of real training frames.",
        "Copies maximise RO and SO: beside their rate stands that of real frames of other recordings.",
        f"DatasetGAN: {_stages(sizes.datasetgan)}. It is not asked for classes: it generates until a pair "
        "shows those of the request.",
        "One generator seed.",
    )
    out.values = {
        f"{method}, {data}": None if one is None else one.to_dict() for (method, data), one in found.items()
    }
    return out


def fig5(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Figure 5: RO over the guidance scale."""
    out = Outcome("gauda-fig5", scale, "GAUDA, Figure 5: RO over the guidance scale")
    charts, rows = [], []
    sizes = next(iter(studies.values())).scale
    for data, study in studies.items():
        judges = study.cells(sizes.judge, PAPER[0])
        swept = {s: study.have(study.pairs("joint", guidance=s, count=sizes.swept)) for s in sizes.guidances}
        known = {s: pairs for s, pairs in swept.items() if pairs is not None}
        if judges is None or not known:
            rows.append((f"{study.title}, {NOT_TRAINED}", *[MISSING] * 4))
            continue
        lines = {s: _coherence(study, judges, pairs).of("label mean") for s, pairs in known.items()}
        copies = dict(zip(known, _copies(study, list(known.values())), strict=True))
        for s, line in lines.items():
            ro = percent(line.ro.value, line.ro.interval), percent(line.ro.share, line.ro.share_interval)
            near = percent(copies[s].pairs), percent(copies[s].held_out)
            rows.append((f"{study.title}, s = {s:g}", *ro, *near))
        charts.append(_chart(study.title, {s: line.ro for s, line in lines.items()}))
        out.say(*study.titled_notes())
        out.values[data] = {
            f"{s:g}": asdict(line) | {"copies": asdict(copies[s])} for s, line in lines.items()
        }
        out.used({f"pairs at {s:g}, {data}": pairs for s, pairs in known.items()})
        out.used(seeds_of(sizes.judge, judges, f", {data}"))
    title = f"RO of {TITLES[sizes.judge]} in per cent, label mean"
    heads = ("guidance", "RO IoU", "of real on real", "copies", "real frames")
    out.sheets.append(Sheet(title, heads, tuple(rows)))
    out.say(
        f"{sizes.swept} pairs at each scale, of the same requests and seeds; intervals over pairs.",
        "Copies: share of the pairs nearer to a training frame than 1 % of the training frames are to "
        "another recording, beside the same share of validation and test frames.",
        "One generator seed. The paper's curve and its best scale are lost in the text that we have.",
    )
    if charts:
        out.pictures["gauda-fig5"] = charts_picture(charts, columns=len(charts))
    return out


def _judged(study: GaudaStudy, name: Generator) -> Judged | None:
    """Return a generator's pairs, measured; None where something is missing that may not be trained now."""
    judges = study.cells(study.scale.judge, PAPER[0])
    pairs = study.have(study.pairs(name))
    if judges is None or pairs is None:
        return None
    learners = study.alone(study.scale.judge, name)
    scenes, split = study.data.scenes, study.data.split
    made, test, training = (
        decode(one, *study.scale.size)
        for one in (open_scenes(f"set:{pairs}"), scenes.subset(split.test), scenes.subset(split.train))
    )
    autoencoders = [study.image_vqgan(), study.mask_vqgan()] if name == "joint" else []
    return Judged(
        pairs,
        _coherence(study, judges, pairs, learners),
        len(learners),
        _copies(study, [pairs])[0],
        distances_to_real(made, test, training, RealismConfig()),
        sum(read_record(run.path).seconds or 0.0 for run in (*autoencoders, study.generator(name))),
    )


def _coherence(
    study: GaudaStudy, judges: Cells, pairs: Path, learners: Cells | None = None
) -> CoherenceScores:
    """Return RO, and SO where there are segmenters trained on the pairs alone; seeds are pooled.

    SO is a share of the real on real of its own seeds, which may not be all yet.
    """

    def scores(judges: Cells, so: Scores | None = None) -> CoherenceScores:
        return coherence_scores(
            _pooled(study.at_size(run) for run in judges.values()),
            _pooled(study.on_pairs(run, pairs) for run in judges.values()),
            so,
            study.data.scenes.classes.names,
            rare=study.rare,
        )

    found = scores(judges)
    if not learners:
        return found
    so = _pooled(study.at_size(run) for run in learners.values())
    beside = scores({seed: judges[seed] for seed in learners}, so)
    lines = (replace(line, so=same.so) for line, same in zip(found.lines, beside.lines, strict=True))
    return replace(found, lines=tuple(lines))


def _pooled(seeds: Iterable[Scores]) -> Scores:
    """Return what several seeds found, added up by recording."""
    parts = list(seeds)
    return {name: reduce(add, (part[name] for part in parts)) for name in parts[0]}


def _copies(study: GaudaStudy, sets: Sequence[Path]) -> list[CopyRate]:
    """Return the rate of copies in each set, by the measure that decides."""
    split = study.data.split
    training, unseen = (
        decode(study.data.scenes.subset(part), *study.scale.size)
        for part in (split.train, (*split.validation, *split.test))
    )
    check = CopyCheck(training, unseen, CopyConfig())
    rates = []
    for scenes in (open_scenes(f"set:{pairs}") for pairs in sets):
        names = [record.name for record in scenes.records]
        rates.append(check.rates(decode(scenes, *study.scale.size), names)[0])
    return rates


def _chart(title: str, swept: Mapping[float, Share]) -> Chart:
    x, shares = list(swept), list(swept.values())
    ro = share_line("RO: real-trained, on pairs", x, shares)
    beside = [np.nan if one.reference is None else one.reference for one in shares]
    real = Line("real on real, same classes", x, beside, dashed=True)
    return Chart(title, (ro, real), x_label="guidance scale s", y_label="label-mean IoU")


def _like_the_paper(found: Found) -> Sheet:
    known = [one for one in found.values() if one is not None]
    names = [measure.name for measure in known[0].distances] if known else []
    rows = []
    for (method, data), one in found.items():
        if one is None:
            rows.append((method, data, *[MISSING] * len(names), NOT_TRAINED, MISSING))
            continue
        line = one.coherence.of("label mean")
        distances = [
            _short(each.value) + ("" if each.reference is None else f" [{_short(each.reference)}]")
            for each in one.distances
        ]
        so = percent(None if line.so is None else line.so.value)
        rows.append((method, data, *distances, percent(line.ro.value), so))
    return Sheet(
        "Pairs against real test frames; IoU in per cent, in brackets what training frames have",
        ("method", "data", *(f"{name} ↓" for name in names), "RO ↑", "SO ↑"),
        tuple(rows),
    )


def _short(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3g}"


def _shares(found: Found) -> Sheet:
    rows = []
    for (method, data), one in found.items():
        for line in one.coherence.lines if one is not None else ():
            if one is not None and line.measure in ("label mean", "sample mean", "rare mean"):
                so = MISSING if line.so is None else percent(line.so.share, line.so.share_interval)
                first = line.measure == "label mean"
                near = [percent(rate) if first else "" for rate in (one.copies.pairs, one.copies.held_out)]
                ro = percent(line.ro.share, line.ro.share_interval)
                rows.append((f"{method}, {data}, {line.measure}", percent(line.real), ro, so, *near))
    heads = ("pairs", "real on real", "RO share", "SO share", "copies", "real frames")
    return Sheet("Shares of real on real, and copies, in per cent", heads, tuple(rows))


def _stages(gan: DatasetGanConfig) -> str:
    """Return the length of DatasetGAN's training in words."""
    stages = {
        "StyleGAN2": gan.training, "encoder": gan.encoder.training,
        "label branch at most": gan.labels.training,
    }  # fmt: skip
    trained = ", ".join(f"{words} {one.steps} steps of {one.batch_size}" for words, one in stages.items())
    return f"{trained}, {gan.refinement.frames} labelled frames"


def _budget(found: Found) -> Sheet:
    seconds = {key: one.seconds for key, one in found.items() if one is not None}
    rows = []
    for (method, data), own in seconds.items():
        longest = max(other for (_, name), other in seconds.items() if name == data)
        rows.append((f"{method}, {data}", f"{own:,.0f}", f"{own / longest:.0%}" if own else MISSING))
    title = "Training of the generators, all parts together"
    return Sheet(title, ("method", "seconds", "of the longer one"), tuple(rows))
