"""From the JSON of a run folder to what a report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rarescene.foundation.configs import config_from
from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.files import read_json
from rarescene.foundation.plugins import method_of
from rarescene.foundation.run_record import RunRecord
from rarescene.reports.content import (
    ClassScore,
    Comparison,
    Curve,
    CurvePlot,
    Difference,
    Estimate,
    MeanScore,
    Measure,
    Provenance,
    RunScores,
)

SCORES = {"iou": "IoU", "dice": "Dice"}
HEADLINES = ("rare mean", "label mean")


def run_scores(
    name: str,
    overlap: Mapping[str, Any],
    *,
    recordings: Mapping[str, Mapping[str, Any]] | None = None,
    seeds: Sequence[int] = (),
    stride: float = 1,
) -> RunScores:
    """Return the scores of a run from the JSON of `OverlapScores.to_dict`.

    Args:
        name: heads the run's column.
        overlap: the JSON.
        recordings: the JSON of `RecordingOverlap.to_dict` by recording; their confusion is added up.
        seeds: training seeds behind the scores.
        stride: pixels that one output cell of the segmenter spans along a side.
    """
    classes = tuple(
        ClassScore(
            name=entry["name"],
            iou=_estimate(entry, "iou"),
            dice=_estimate(entry, "dice"),
            pixels=entry["pixels"],
            frames=entry["frames"],
            recordings=entry["recordings"],
            false_pixels=entry["false_pixels"],
        )
        for entry in overlap["classes"]
    )
    label_mean, sample_mean, sample_median = (
        MeanScore(_estimate(overlap[field], "iou"), _estimate(overlap[field], "dice"))
        for field in ("label_mean", "sample_mean", "sample_median")
    )
    return RunScores(
        name=name,
        classes=classes,
        label_mean=label_mean,
        sample_mean=sample_mean,
        sample_median=sample_median,
        seeds=tuple(seeds),
        stride=stride,
        confusion=_total(recordings or {}),
        notes=tuple(overlap["notes"]),
    )


def strategy_scores(
    tables: Mapping[str, Mapping[str, Any]],
    overlap: Mapping[str, Any],
    *,
    recordings: Mapping[str, Sequence[Mapping[str, Mapping[str, Any]]]] | None = None,
    stride: float = 1,
) -> tuple[RunScores, ...]:
    """Return one column a strategy, each score averaged over seeds, with its interval over recordings.

    Args:
        tables: the JSON of `ComparisonTable.to_dict` as `iou` and `dice`, both with every class as `rare`.
        overlap: the JSON of `OverlapScores.to_dict` of any of the runs; all were scored on the same labels.
        recordings: by strategy, one entry a seed, the JSON of `RecordingOverlap.to_dict` by recording.
        stride: pixels that one output cell of the segmenter spans along a side.
    """
    rows = {
        (score, row["strategy"], row["measure"]): row for score in SCORES for row in tables[score]["rows"]
    }

    def mean(strategy: str, measure: str) -> MeanScore:
        iou, dice = (_averaged(rows[score, strategy, measure]) for score in SCORES)
        return MeanScore(iou, dice)

    found = []
    for strategy in tables["iou"]["strategies"]:
        classes = []
        for entry in overlap["classes"]:
            score = mean(strategy, entry["name"])
            support = (entry["pixels"], entry["frames"], entry["recordings"])
            classes.append(ClassScore(entry["name"], score.iou, score.dice, *support))
        seeds = (recordings or {}).get(strategy, ())
        matrices = {f"{seed} {name}": value for seed, one in enumerate(seeds) for name, value in one.items()}
        found.append(
            RunScores(
                name=strategy,
                classes=tuple(classes),
                label_mean=mean(strategy, "label mean"),
                sample_mean=mean(strategy, "sample mean"),
                sample_median=mean(strategy, "sample median"),
                seeds=tuple(tables["iou"]["seeds"]),
                stride=stride,
                confusion=_total(matrices),
                notes=tuple(tables["iou"]["notes"]),
            )
        )
    return tuple(found)


def comparisons(table: Mapping[str, Any], *, equal_steps: bool = True) -> tuple[Comparison, ...]:
    """Return one comparison a strategy from the JSON of `ComparisonTable.to_dict`.

    The verdict is about the mean of the rare classes where the table has it, else about the label mean.
    p-values are those after Holm's correction.
    """
    rows = {(row["strategy"], row["measure"]): row for row in table["rows"]}
    measures = list(dict.fromkeys(measure for _, measure in rows))
    headline = next(measure for measure in HEADLINES if measure in measures)
    found = []
    for strategy, conclusion in zip(table["strategies"][1:], table["conclusions"], strict=True):
        lines = {
            measure: _difference(rows[strategy, measure], rows[table["baseline"], measure])
            for measure in measures
        }
        order = [headline, *(measure for measure in measures if measure != headline)]
        found.append(
            Comparison(
                baseline=table["baseline"],
                candidate=strategy,
                headline=lines[headline],
                differences=tuple(lines[measure] for measure in order),
                seeds=len(table["seeds"]),
                recordings=len(table["recordings"]),
                equal_steps=equal_steps,
                score=SCORES[table["score"]],
                conclusion=conclusion,
                notes=tuple(table["notes"]),
            )
        )
    return tuple(found)


def realism_measures(realism: Mapping[str, Any]) -> tuple[Measure, ...]:
    """Return the figures about synthetic pictures from the JSON of `RealismScores.to_dict`."""
    counts = f"{realism['synthetic_images']:,} synthetic against {realism['real_images']:,} real images"
    measures = []
    for distance in realism["distances"]:
        spread = distance["kernel_deviation"]
        apart = "" if spread is None else f", standard deviation over subsets {spread:.2g}"
        measures.append(Measure(distance["frechet_name"], distance["frechet"], "lower", note=counts))
        measures.append(Measure(distance["kernel_name"], distance["kernel"], "lower", note=counts + apart))
    paired = "against the real frame of the same map"
    for name, key, note in (
        ("MS-SSIM", "ms_ssim", f"{paired}; {realism['ms_ssim_settings']}"),
        ("PSNR, dB", "psnr", paired),
    ):
        score = realism[key]
        if score is not None:
            bounds = score["interval"]
            shown = "" if bounds is None else f"; 95 % interval {bounds['low']:.3g} to {bounds['high']:.3g}"
            measures.append(Measure(name, score["mean"], "higher", note=note + shown))
    return tuple(measures)


def curve_plot(
    title: str, logs: Mapping[str, Sequence[Mapping[str, float]]], value: str = "loss", **options: Any
) -> CurvePlot:
    """Return a plot of one scalar of several training logs; lines of a log without that scalar are left out.

    Args:
        title: of the plot.
        logs: the lines of each run's `log.jsonl`, by the run's name.
        value: the scalar.
        **options: those of `CurvePlot`, such as `logarithmic`.
    """
    curves = []
    for name, log in logs.items():
        lines = [line for line in log if value in line]
        steps, values = (tuple(float(line[key]) for line in lines) for key in ("step", value))
        curves.append(Curve(name, steps, values))
    return CurvePlot(title, tuple(curves), **{"y_label": value, **options})


def provenance(records: Sequence[RunRecord], **more: str) -> Provenance:
    """Return where figures come from, told by the records of the runs behind them, each fact once.

    `more` adds lines, such as the wall time. What the runs trained on is what any of them has seen.
    """

    def each(values: Sequence[object]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(value) for value in values if value))

    behind = [record.provenance for record in records]
    held_out = {
        part: sorted({name for one in behind for name in one.recordings.get(part, ())})
        for part in ("validation", "test")
    }
    return Provenance(
        commands=each([record.command for record in records]),
        data="; ".join(each([f"{one.name} ({one.spec})" for one in behind])),
        licence="; ".join(each([one.licence for one in behind])),
        split="; ".join(each([one.split for one in behind])),
        train=tuple(sorted({name for one in behind for name in one.seen.spans})),
        validation=tuple(held_out["validation"]),
        test=tuple(held_out["test"]),
        seeds=tuple(sorted({record.seed for record in records})),
        commit="; ".join(each([record.commit for record in records])),
        machine="; ".join(each([_machine(record.machine) for record in records])),
        versions={name: version for record in records for name, version in record.versions.items()},
        more={name.replace("_", " "): words for name, words in more.items()},
    )


def _averaged(row: Mapping[str, Any]) -> Estimate:
    bounds = row["interval"] or {"low": None, "high": None}
    return Estimate(row["mean"], bounds["low"], bounds["high"])


def _difference(row: Mapping[str, Any], baseline: Mapping[str, Any]) -> Difference:
    bounds = row["difference_interval"] or {"low": None, "high": None}
    return Difference(
        of=row["measure"],
        mean=row["difference"],
        low=bounds["low"],
        high=bounds["high"],
        effect=row["effect_size"],
        p=row["p_holm"],
        reason=row["note"],
        before=baseline["mean"],
        after=row["mean"],
    )


def _machine(machine: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items())


def _total(recordings: Mapping[str, Mapping[str, Any]]) -> tuple[tuple[int, ...], ...] | None:
    matrices = [recording["confusion"] for recording in recordings.values()]
    if not matrices:
        return None
    size = range(len(matrices[0]))
    return tuple(tuple(sum(matrix[row][column] for matrix in matrices) for column in size) for row in size)


def _estimate(values: Mapping[str, Any], score: str) -> Estimate:
    bounds = values[f"{score}_interval"]
    if bounds is None:
        return Estimate(values[score])
    return Estimate(values[score], bounds["low"], bounds["high"])


METRICS = "metrics.json"
"""What `evaluate` found on the test recordings of real data, in the run's folder."""


_FIELDS = {
    "segmenter",
    "strategy",
    "seed",
    "steps",
    "batch_size",
    "size",
    "data",
    "classes",
    "scores",
    "recordings",
}


def read_metrics(run: Path) -> dict[str, Any]:
    """Return what `evaluate` wrote in a run folder.

    Raises:
        CheckpointError: it has not been called yet, or the file is damaged.
    """
    again = f"rarescene evaluate {run} --data DATA"
    if not (run / METRICS).is_file():
        raise CheckpointError("has not been scored yet", f"First: {again}", run)
    metrics = read_json(run / METRICS)
    if not isinstance(metrics, dict) or not metrics.keys() >= _FIELDS:
        raise CheckpointError("does not hold the scores of a run", f"Write it again: {again}", run / METRICS)
    return metrics


def scores_of_run(name: str, record: RunRecord, metrics: Mapping[str, Any]) -> RunScores:
    """Return the column of a scored run, headed by `name`, for tables, pages and cards."""
    from rarescene.reports import run_scores

    return run_scores(
        name,
        metrics["scores"],
        recordings=metrics["recordings"],
        seeds=[record.seed],
        stride=cell_of_run(record),
    )


def cell_of_run(record: RunRecord) -> float:
    """Return the side of a segmenter's output cell, in pixels of the images that it sees."""
    method = method_of("segmenters", record.config["segmenter"], record.config.get("package"))
    cell: float = method.cell(config_from(method.config, record.config["model"]))
    return cell
