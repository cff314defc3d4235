"""`rarescene demo`: the whole road on phantom scenes.

command:       make demo, or rarescene demo --out demo
machine:       2 cores, no GPU
running time:  see benchmarks/results/demo.json

phantom scenes → statistics that name the rare classes → synthetic pairs for them by the shipped CASDM
→ one segmenter without and one with them, at equal steps → a table and a self-contained page.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from rarescene.foundation.configs import Count, Seed
from rarescene.foundation.console import CONSOLE, say, show
from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.outputs import writes_folder
from rarescene.foundation.run_folder import same_run
from rarescene.foundation.run_record import RECORD, RunRecord, read_record
from rarescene.scenes.data import decode, open_as_in
from rarescene.training.config import TrainingConfig

WEIGHTS = Path(__file__).parent / "weights" / "phantom_casdm"

TRAINING = TrainingConfig(
    steps=800, batch_size=16, learning_rate=3e-3, weight_decay=0.01, warmup_steps=40, decay="cosine",
    ema_decay=0.99, save_every=800, validate_every=200,
)  # fmt: skip


@writes_folder("demo", "demo", goes_on=True)
def demo(*, out: Path = Path("demo"), pairs: Count = 400, seed: Seed = 0, quick: bool = False) -> None:
    """Run the whole road on phantom scenes: their rare classes, synthetic pairs, a measured answer.

    A demo that was stopped goes on where it was when the command is repeated.

    Args:
        out: folder for everything that is made; the page is OUT/report.html.
        pairs: synthetic pairs to generate.
        seed: seed of the pairs and of both segmenters.
        quick: a few steps of everything, to see that it runs; its scores mean nothing.
    """
    from rarescene.commands.evaluate import evaluate
    from rarescene.commands.segment import segment
    from rarescene.commands.stats import stats
    from rarescene.commands.synthesize import synthesize
    from rarescene.diffusion import SamplingConfig
    from rarescene.foundation.plugins import by_command
    from rarescene.reports import build_report, comparison_table, overlap_table, verdict_text, write_report
    from rarescene.scenes import class_statistics
    from rarescene.segmenters.unet_config import UNetConfig

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
    # Those that the table above has just called rare, of all frames, as in the published demo.
    shown = class_statistics(decode(source.scenes, 64, 64)).rare
    rare = source.scenes.classes.listed([entry.name for entry in shown])

    CONSOLE.rule(f"2. {pairs} synthetic pairs that show {rare.replace(',', ', ')}")
    sampling = SamplingConfig(steps=4 if quick else 20, precision="bf16", block=16)
    made = out / "pairs"
    synthesize(
        WEIGHTS, masks=data, out=made, classes=rare, count=pairs, sampling=sampling, seed=seed, resume=True
    )

    strategies: dict[str, Path | None] = {"none": None, "offline": made}
    for number, (strategy, synthetic) in enumerate(strategies.items(), start=3):
        CONSOLE.rule(f"{number}. A U-Net {'without' if synthetic is None else 'with'} the synthetic pairs")
        segment(
            by_command("segmenters")["unet"],
            model=UNetConfig(),
            data=data,
            out=out / strategy,
            strategy=strategy,
            synthetic=synthetic,
            training=training,
            seed=seed,
            resume=True,
            **source.options,
        )
        evaluate(out / strategy, data=data, quiet=True)

    CONSOLE.rule("5. Did it help?")
    runs = [WEIGHTS, made, *(out / strategy for strategy in strategies)]
    page = build_report(runs, title="rarescene demo", classes=rare)
    write_report(page, out / "report.html")
    show(overlap_table(page.runs, page.classes, rare=page.rare))
    assert page.comparison is not None
    show(comparison_table(page.comparison))
    for verdict in page.verdicts().values():
        show(verdict_text(verdict))
    record.ended(time.perf_counter() - began).write(out)
    minutes = (time.perf_counter() - began) / 60
    say(f"{minutes:.1f} minutes. The page: {out / 'report.html'}.")
    say("These are phantom scores, not surgical ones.")
