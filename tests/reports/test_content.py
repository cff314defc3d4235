"""What tables and pages take, from what other rooms found."""

from __future__ import annotations

from rarescene.evaluation import Distance, Interval, PairedScore, RealismScores
from rarescene.foundation.provenance import Seen
from rarescene.foundation.run_record import RunRecord
from rarescene.reports import origins_of, realism_measures, training_chart

from ..provenance import provenance


def test_realism_keeps_the_names_of_its_distances() -> None:
    scores = RealismScores(
        distances=(Distance("x", "FD-x", "KD-x", 2.0, 0.1, None),),
        ms_ssim=None,
        ms_ssim_settings=None,
        psnr=PairedScore(21.0, Interval(20.0, 22.0)),
        real_images=10,
        synthetic_images=1200,
        notes=(),
    )
    measures = realism_measures(scores)
    assert [(one.name, one.value, one.better) for one in measures] == [
        ("FD-x", 2.0, "lower"),
        ("KD-x", 0.1, "lower"),
        ("PSNR, dB", 21.0, "higher"),
    ]
    assert "1,200 synthetic against 10 real" in measures[0].note
    assert "20 to 22" in measures[2].note


def test_a_curve_takes_the_lines_that_have_its_scalar() -> None:
    log = [{"step": 20, "loss": 1.0}, {"step": 20, "validation": 0.3}, {"step": 40, "loss": 0.5}]
    plot = training_chart("Segmenter", {"none": log, "offline": []})
    assert plot.lines[0].x == [20.0, 40.0]
    assert plot.lines[0].y == [1.0, 0.5]
    assert plot.lines[1].y == []
    assert (plot.x_label, plot.y_label) == ("optimiser step", "loss")
    assert training_chart("v", {"none": log}, "validation").lines[0].y == [0.3]


def test_provenance_tells_each_fact_once_and_all_that_was_seen() -> None:
    def record(seed: int, seen: str) -> RunRecord:
        return RunRecord(
            kind="segmenter", config={}, seed=seed,
            provenance=provenance(
                spec="phantom:", name="phantom", licence="Apache-2.0", seen=Seen({seen: None}),
                recordings={"train": ["a"], "validation": ["c"], "test": ["d"]},
            ),
            class_table={}, command=f"rarescene segment unet --seed {seed}", machine={"cores": 2},
            versions={"torch": "2.13"}, commit="abc",
        )  # fmt: skip

    source = origins_of([record(1, "a"), record(0, "b"), record(1, "a")], wall_time="1 min")
    assert source.train == ("a", "b")
    assert (source.validation, source.test, source.seeds) == (("c",), ("d",), (0, 1))
    assert source.commands == ("rarescene segment unet --seed 1", "rarescene segment unet --seed 0")
    assert (source.commit, source.machine, source.licence) == ("abc", "cores 2", "Apache-2.0")
    assert source.more == {"wall time": "1 min"}
