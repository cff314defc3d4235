"""`rarescene demo`: the whole road on phantom scenes.

command:       make demo, or rarescene demo --out demo
machine:       2 cores, no GPU
running time:  nine and a half minutes in float32

phantom scenes → statistics that name the rare classes → a segmenter without anything added → those of the
rare classes that it misses, drawn into real frames by the shipped CASDM, each region held to what that
segmenter sees of real ones → a segmenter with the regions' own pixels pasted instead, and one with the drawn
ones, at equal steps → a table over sixty recordings that nobody has seen, and a self-contained page.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import Count, Seed
from rarescene.foundation.console import CONSOLE, say, show
from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.outputs import writes_folder
from rarescene.foundation.run_folder import same_run
from rarescene.foundation.run_record import RECORD, RunRecord, read_record
from rarescene.scenes.data import Data, decode, open_as_in
from rarescene.scenes.statistics import class_statistics
from rarescene.training.config import TrainingConfig

WEIGHTS = Path(__file__).parent / "weights" / "phantom_casdm"

FURTHER = "phantom:videos=60,frames=6,size=64,seed=0,first=101"
"""Recordings that neither the shipped weights nor any segmenter has seen, few frames each."""

TRAINING = TrainingConfig(
    steps=400, batch_size=16, learning_rate=3e-3, weight_decay=0.01, warmup_steps=40, decay="cosine",
    ema_decay=0.99, save_every=400, validate_every=200,
)  # fmt: skip

WIDTHS = (16, 32, 64, 96)
"""Of the U-Nets: they train twice as fast as with the usual ones."""

SHARE = 0.35
"""How many of the scenes of a batch a class is pasted or drawn into."""


@takes_text_for_paths
@writes_folder("demo", "demo", goes_on=True)
def demo(*, out: Path = Path("demo"), pairs: Count = 160, seed: Seed = 0, quick: bool = False) -> None:
    """Run the whole road on phantom scenes: rare classes, put into real frames, and a measured answer.

    A demo that was stopped goes on where it was when the command is repeated.

    Args:
        out: folder for everything that is made; the page is OUT/report.html.
        pairs: frames that a rare class is drawn into.
        seed: seed of the frames and of all segmenters.
        quick: a few steps of everything, to see that it runs; its scores mean nothing.
    """
    from rarescene.augmentation import OfflineConfig, PasteConfig
    from rarescene.commands.evaluate import evaluate
    from rarescene.commands.segment import segment
    from rarescene.commands.stats import stats
    from rarescene.commands.synthesize import synthesize
    from rarescene.diffusion import SamplingConfig
    from rarescene.evaluation.overlap import class_iou
    from rarescene.evaluation.run_metrics import METRICS, VALIDATION_METRICS
    from rarescene.foundation.plugins import by_command
    from rarescene.recipes.study import read_scores
    from rarescene.reports import build_report, comparison_table, overlap_table, verdict_text, write_report
    from rarescene.segmenters.unet_config import UNetConfig
    from rarescene.sources.trust import TrustConfig, missed

    began = time.perf_counter()
    if not (WEIGHTS / "run.json").is_file():
        raise CheckpointError("the shipped weights are missing", "Install the package again.", WEIGHTS)
    trained = read_record(WEIGHTS, "casdm")
    record = RunRecord.begin(
        kind="demo", config={"pairs": pairs, "quick": quick}, seed=seed, provenance=trained.provenance,
        class_table=trained.class_table,
    )  # fmt: skip
    if (out / RECORD).is_file():
        same_run(out, record)
        say(f"{out} holds a demo already, and it goes on; for a new one, delete it or choose another --out.")
    record.write(out)
    data = trained.provenance.spec
    training = replace(TRAINING, steps=20, validate_every=10, save_every=20) if quick else TRAINING
    pairs = 8 if quick else pairs

    CONSOLE.rule("1. Phantom scenes, and what is rare in them")
    stats(data)
    source = open_as_in(trained.provenance)
    table, rare = source.scenes.classes, rare_in(source)

    def trained_with(strategy: str, options: Any = None, synthetic: Path | None = None) -> Path:
        """Train and score a U-Net; all of them differ in what joins the real scenes alone."""
        run = out / strategy
        segment(
            by_command("segmenters")["unet"],
            model=UNetConfig(widths=WIDTHS),
            data=data,
            out=run,
            strategy=strategy,
            strategies={} if options is None else {strategy: options},
            synthetic=synthetic,
            training=training,
            seed=seed,
            resume=True,
            **source.options,
        )
        evaluate(run, data=FURTHER, part="all", out=run / METRICS, quiet=True)
        return run

    CONSOLE.rule("2. A U-Net with the real scenes alone")
    none = trained_with("none")
    evaluate(none, data=data, part="validation", out=none / VALIDATION_METRICS, quiet=True)
    iou = class_iou(read_scores(none / VALIDATION_METRICS).values(), table.names)
    lacking = missed(iou, rare) or tuple(rare)
    say(f"on the validation recordings it misses {', '.join(lacking)}")
    classes = table.listed(lacking)

    CONSOLE.rule(f"3. {', '.join(lacking)}, drawn into {pairs} real frames")
    made = out / "inserted"
    synthesize(
        WEIGHTS, compose=data, judge=none, out=made, classes=classes, count=pairs,
        sampling=SamplingConfig(steps=4 if quick else 12, precision="bf16", block=16),
        trust=TrustConfig(rule="none" if quick else "drop"), seed=seed, resume=True,
    )  # fmt: skip

    CONSOLE.rule("4. A U-Net with their own pixels pasted instead: no generator")
    pasted = trained_with("paste", PasteConfig(classes=classes, probability=SHARE))
    CONSOLE.rule("5. A U-Net with the drawn ones")
    drawn = trained_with("offline", OfflineConfig(probability=SHARE), made)

    CONSOLE.rule("6. Did it help?")
    runs = [WEIGHTS, made, none, pasted, drawn]
    page = build_report(runs, title="rarescene demo", classes=table.listed(rare))
    write_report(page, out / "report.html")
    show(overlap_table(page.runs, page.classes, rare=page.rare))
    assert page.comparison is not None
    show(comparison_table(page.comparison))
    for verdict in page.verdicts().values():
        show(verdict_text(verdict))
    record.ended(time.perf_counter() - began).write(out)
    minutes = (time.perf_counter() - began) / 60
    say(f"{minutes:.1f} minutes. The page: {out / 'report.html'}.")
    say("`offline` has the frames that a missed class was drawn into.")
    say("These are phantom scores, not surgical ones.")


def rare_in(source: Data) -> list[str]:
    """Return the classes that the table of `stats` calls rare, if a training frame shows them."""
    scenes = decode(source.scenes, 64, 64)
    shown = np.sum(scenes.subset(source.split.train).class_pixels, axis=0)
    return [entry.name for entry in class_statistics(scenes).rare if shown[entry.id]]
