"""Table 5 and Figure 5: how real pairs look, and whether image and mask belong together (RO and SO).

RO: segmenters trained on real frames, scored on the pairs. SO: the same segmenters trained on the pairs
alone, scored on the real test frames. Both beside real on real, and beside the rate of copies, which
maximise both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.evaluation import (
    CoherenceScores,
    CopyRate,
    Share,
    coherence_scores,
    copy_rate,
)
from rarescene.evaluation.config import CopyConfig, RealismConfig
from rarescene.evaluation.pair_scores import CopyCheck
from rarescene.foundation.run_record import read_record
from rarescene.generators.datasetgan_config import DatasetGanConfig
from rarescene.recipes.gauda.published import TABLE_5
from rarescene.recipes.gauda.scale import PAPER, TITLES, DataName
from rarescene.recipes.gauda.study import Cells, GaudaStudy, Generator
from rarescene.recipes.outcome import MISSING, Outcome, Sheet, percent
from rarescene.recipes.study import Scores
from rarescene.reports import Chart, Line, Measure, charts_picture
from rarescene.reports.coherence import share_line
from rarescene.reports.formatting import with_interval
from rarescene.reports.realism import distances_to_real
from rarescene.scenes import open_scenes
from rarescene.scenes.data import decode

METHODS: Mapping[str, Generator] = {"LDM": "joint", "DatasetGAN": "datasetgan"}
NOT_TRAINED = "not trained"


@dataclass(frozen=True)
class Judged:
    """One generator's pairs, measured.

    Attributes:
        pairs: the set.
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


def table5(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Table 5: latent diffusion against DatasetGAN."""
    found: dict[tuple[str, str], Judged | None] = {}
    notes: dict[str, None] = {}
    runs: dict[str, str] = {}
    sizes = next(iter(studies.values())).scale
    judge, gan = sizes.judge, sizes.datasetgan
    for data, study in studies.items():
        notes |= dict.fromkeys(f"{study.title}: {note}" for note in study.notes())
        for method, name in METHODS.items():
            one = found[method, study.title] = _judged(study, name)
            if one is not None:
                runs |= {
                    f"{method}, {data}": study.generator(name).name,
                    f"pairs of {method}, {data}": one.pairs.name,
                }
                notes |= dict.fromkeys(one.coherence.notes)
                seeds = f"{one.learners} of {len(study.scale.seeds)} seeds"
                notes[
                    f"{method}, {study.title}: SO of {seeds}, its share of real on real of the same seeds."
                ] = None
    known = [one for one in found.values() if one is not None]
    heads = [measure.name for measure in known[0].distances] if known else []
    return Outcome(
        "gauda-table5",
        scale,
        "GAUDA, Table 5: latent diffusion and DatasetGAN",
        (_like_the_paper(found, heads), _published(), _shares(found), _budget(found)),
        (
            *notes,
            f"RO and SO: label mean of {TITLES[judge]}, the confusion of all seeds together; intervals over "
            "pairs (RO) and over test recordings (SO).",
            "Distances are between distributions of images, in the features of the network that they are "
            "named after, and no FID; beside them, in brackets, those of real training frames.",
            "Copies maximise RO and SO: beside their rate stands that of real frames of other recordings.",
            f"DatasetGAN: {_stages(gan)}. It is not asked for classes: it draws until a pair shows those of "
            "the request.",
            "One generator seed.",
        ),
        {f"{method}, {data}": None if one is None else _values(one) for (method, data), one in found.items()},
        runs,
    )


def fig5(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Figure 5: RO over the guidance scale."""
    charts, rows, notes, values, runs = [], [], dict[str, None](), dict[str, Any](), dict[str, str]()
    judge = next(iter(studies.values())).scale.judge
    for data, study in studies.items():
        judges = study.cells(judge, PAPER[0])
        swept = {s: study.have(study.pairs("joint", guidance=s, count=study.scale.swept))
                 for s in study.scale.guidances}  # fmt: skip
        known = {s: pairs for s, pairs in swept.items() if pairs is not None}
        if judges is None or not known:
            rows.append((f"{study.title}, {NOT_TRAINED}", *[MISSING] * 4))
            continue
        lines = {s: _coherence(study, judges, pairs).of("label mean") for s, pairs in known.items()}
        copies = dict(zip(known, _copies(study, list(known.values())), strict=True))
        rows += [
            (
                f"{study.title}, s = {s:g}", with_interval(line.ro.value, line.ro.interval, MISSING),
                with_interval(line.ro.share, line.ro.share_interval, MISSING), percent(copies[s].pairs),
                percent(copies[s].held_out),
            )
            for s, line in lines.items()
        ]  # fmt: skip
        charts.append(_chart(study.title, {s: line.ro for s, line in lines.items()}))
        notes |= dict.fromkeys(f"{study.title}: {note}" for note in study.notes())
        values[data] = {f"{s:g}": asdict(line) | {"copies": asdict(copies[s])} for s, line in lines.items()}
        runs |= {f"pairs at {s:g}, {data}": pairs.name for s, pairs in known.items()}
        runs |= {f"{judge}, seed {seed}, {data}": Path(run).name for seed, run in judges.items()}
    count = next(iter(studies.values())).scale.swept
    return Outcome(
        "gauda-fig5",
        scale,
        "GAUDA, Figure 5: RO over the guidance scale",
        (
            Sheet(
                f"RO of {TITLES[judge]} in per cent, label mean",
                ("guidance", "RO IoU", "of real on real", "copies", "real frames"),
                tuple(rows),
            ),
        ),
        (
            *notes,
            f"{count} pairs at each scale, of the same requests and seeds; intervals over pairs.",
            "Copies: share of the pairs nearer to a training frame than 1 % of the training frames are to "
            "another recording, beside the same share of validation and test frames.",
            "One generator seed. The paper's curve and its best scale are lost in the text that we have.",
        ),
        values,
        runs,
        {"gauda-fig5": charts_picture(charts, columns=len(charts))} if charts else {},
    )


def _judged(study: GaudaStudy, name: Generator) -> Judged | None:
    """Return a generator's pairs, measured; None where something is missing that may not be trained now."""
    judges = study.cells(study.scale.judge, PAPER[0])
    pairs = study.have(study.pairs(name))
    if judges is None or pairs is None:
        return None
    learners = study.alone(study.scale.judge, name)
    scenes, split = study.data.scenes, study.data.split
    test, training = (decode(scenes.subset(part), *study.scale.size) for part in (split.test, split.train))
    behind = (
        [study.image_vqgan(), study.mask_vqgan(), study.joint()] if name == "joint" else [study.datasetgan()]
    )
    return Judged(
        pairs,
        _coherence(study, judges, pairs, learners),
        len(learners),
        _copies(study, [pairs])[0],
        distances_to_real(
            decode(open_scenes(f"set:{pairs}"), *study.scale.size), test, training, RealismConfig()
        ),
        sum(read_record(run.path).seconds or 0.0 for run in behind),
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
    return replace(
        found,
        lines=tuple(replace(line, so=same.so) for line, same in zip(found.lines, beside.lines, strict=True)),
    )


def _pooled(seeds: Iterable[Scores]) -> Scores:
    """Return what several seeds found, added up by recording."""
    parts = list(seeds)
    return {name: reduce(lambda one, other: one + other, (part[name] for part in parts)) for name in parts[0]}


def _copies(study: GaudaStudy, sets: Sequence[Path]) -> list[CopyRate]:
    """Return the rate of copies in each set, by the measure that decides."""
    config, split = CopyConfig(), study.data.split
    training, unseen = (
        decode(study.data.scenes.subset(part), *study.scale.size)
        for part in (split.train, (*split.validation, *split.test))
    )
    check, found = CopyCheck(training, unseen, config), []
    for pairs in sets:
        drawn = decode(open_scenes(f"set:{pairs}"), *study.scale.size)
        near = check.of(drawn)[config.measure]
        found.append(copy_rate(near, [record.name for record in drawn.records]))
    return found


def _chart(title: str, swept: Mapping[float, Share]) -> Chart:
    x, shares = list(swept), list(swept.values())
    ro = share_line("RO: real-trained, on pairs", x, shares)
    beside = [np.nan if one.reference is None else one.reference for one in shares]
    real = Line("real on real, same classes", x, beside, dashed=True)
    return Chart(title, (ro, real), x_label="guidance scale s", y_label="label-mean IoU")


def _like_the_paper(found: Mapping[tuple[str, str], Judged | None], heads: list[str]) -> Sheet:
    rows = []
    for (method, data), one in found.items():
        if one is None:
            rows.append((method, data, *[MISSING] * len(heads), NOT_TRAINED, MISSING))
            continue
        line = one.coherence.of("label mean")
        distances = [
            f"{_short(measure.value)}"
            + ("" if measure.reference is None else f" [{_short(measure.reference)}]")
            for measure in one.distances
        ]
        so = MISSING if line.so is None else percent(line.so.value)
        rows.append((method, data, *distances, percent(line.ro.value), so))
    return Sheet(
        "Pairs against real test frames; IoU in per cent, in brackets what training frames have",
        ("method", "data", *(f"{head} ↓" for head in heads), "RO ↑", "SO ↑"),
        tuple(rows),
    )


def _short(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3g}"


def _published() -> Sheet:
    return Sheet(
        "The paper's (FID and KID of Inception; its own data, size and split)",
        ("method", "data", "FID ↓", "KID ↓", "RO ↑", "SO ↑"),
        tuple(
            (method, TITLES[data], f"{fid:.2f}", f"{kid:.3f} ± {spread:.3f}", percent(ro), percent(so))
            for (method, data), (fid, kid, spread, ro, so) in TABLE_5.items()
        ),
    )


def _shares(found: Mapping[tuple[str, str], Judged | None]) -> Sheet:
    rows = []
    for (method, data), one in found.items():
        if one is None:
            continue
        for measure in ("label mean", "sample mean", "rare mean"):
            try:
                line = one.coherence.of(measure)
            except KeyError:
                continue
            so = MISSING if line.so is None else with_interval(line.so.share, line.so.share_interval, MISSING)
            first = measure == "label mean"
            rows.append(
                (
                    f"{method}, {data}, {measure}", percent(line.real),
                    with_interval(line.ro.share, line.ro.share_interval, MISSING), so,
                    percent(one.copies.pairs) if first else "", percent(one.copies.held_out) if first else "",
                )
            )  # fmt: skip
    return Sheet(
        "Shares of real on real, and copies, in per cent",
        ("pairs", "real on real", "RO share", "SO share", "copies", "real frames"),
        tuple(rows),
    )


def _stages(gan: DatasetGanConfig) -> str:
    """Return the length of DatasetGAN's training in words."""
    trained = ", ".join(
        f"{words} {training.steps} steps of {training.batch_size}"
        for words, training in (
            ("StyleGAN2", gan.training),
            ("encoder", gan.encoder.training),
            ("label branch at most", gan.labels.training),
        )
    )
    return f"{trained}, {gan.refinement.frames} labelled frames"


def _budget(found: Mapping[tuple[str, str], Judged | None]) -> Sheet:
    return Sheet(
        "Training of the generators, all parts together",
        ("method", "seconds", "of the longer one"),
        tuple(
            (
                f"{method}, {data}",
                f"{one.seconds:,.0f}",
                f"{one.seconds / max(_of_data(found, data)):.0%}" if one.seconds else MISSING,
            )
            for (method, data), one in found.items()
            if one is not None
        ),
    )


def _of_data(found: Mapping[tuple[str, str], Judged | None], data: str) -> list[float]:
    return [one.seconds for (_, name), one in found.items() if name == data and one is not None]


def _values(one: Judged) -> dict[str, object]:
    return {
        "coherence": one.coherence.to_dict(), "copies": asdict(one.copies), "seconds": one.seconds,
        "distances": [asdict(measure) for measure in one.distances],
    }  # fmt: skip
