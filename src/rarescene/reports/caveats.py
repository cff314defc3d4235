"""What the figures of a report mean and do not mean, in the words that apply to this one report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rarescene.reports.formatting import count, listing, percent
from rarescene.reports.verdict import ENOUGH_SEEDS

if TYPE_CHECKING:
    from rarescene.reports.report_page import Report
    from rarescene.reports.run_scores import RunScores


@dataclass(frozen=True)
class Remark:
    """One thing to know: a heading of a few words and a sentence or two."""

    head: str
    text: str


@dataclass(frozen=True)
class Mistaken:
    """What the pixels of one class were predicted as: the share `right`, then the likeliest others."""

    name: str
    right: float
    others: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        others = listing([f"{percent(part)} % called {other}" for other, part in self.others])
        return f"{percent(self.right)} % right" + (f", {others}" if others else "")


def mistakes(run: RunScores, rare: tuple[str, ...], *, most: int = 3) -> tuple[Mistaken, ...]:
    """Return, for each rare class that the test labels show, what its pixels were predicted as."""
    if run.confusion is None:
        return ()
    names = [entry.name for entry in run.scores.classes]
    found = []
    for name in rare:
        if name not in names:
            continue
        index = names.index(name)
        row = [int(pixels) for pixels in run.confusion[index]]
        total = sum(row)
        if total == 0:
            continue
        others = sorted(
            ((pixels, other) for other, pixels in enumerate(row) if other != index and pixels), reverse=True
        )
        shares = tuple((names[other], pixels / total) for pixels, other in others[:most])
        found.append(Mistaken(name, row[index] / total, shares))
    return tuple(found)


def remarks(report: Report) -> tuple[Remark, ...]:
    """Return the remarks that apply: those that limit the figures most come first."""
    chosen = []
    if report.phantom:
        text = (
            "Phantom scenes are drawn by a program. Their figures tell whether the method runs and "
            "how strategies rank on them. They say nothing about surgery, patients or real frames."
        )
        chosen.append(Remark("Phantoms are not patients", text))
    table = report.comparison
    seeds = [len(run.seeds) for run in report.runs if run.seeds] if table is None else [len(table.seeds)]
    if seeds and min(seeds) < ENOUGH_SEEDS:
        text = (
            f"The figures rest on {count(min(seeds), 'training seed')}. Training is a draw: with other "
            f"seeds the same strategy can end higher or lower. A claim needs at least {ENOUGH_SEEDS} "
            "seeds."
        )
        chosen.append(Remark("Few seeds", text))
    if report.runs:
        text = (
            "The interval is a 95 % bootstrap interval over test recordings, since frames of one "
            "recording are near-copies of each other. It tells how far the figure would move with "
            "other recordings like these. It does not tell what other hospitals, cameras or "
            "operations would give."
        )
        chosen.append(Remark("Intervals", text))
    if table is not None:
        text = (
            "Differences are paired: both sides are scored on the same recordings. Cohen's d is the "
            "mean difference over the spread of the differences between recordings. p comes from a "
            "sign-flip test over recordings, corrected after Holm; with fewer than six recordings "
            "none is given."
        )
        chosen.append(Remark("Differences", text))
    absent = sorted({entry.name for run in report.runs for entry in run.scores.classes if entry.iou is None})
    if absent:
        text = (
            f"Not scored, since no test label shows it: {listing(absent)}. A class that is absent "
            "counts neither as 0 nor as 1. Where it was predicted all the same, that lowers the "
            "sample mean and the classes that it covers."
        )
        chosen.append(Remark("Absent classes", text))
    if report.runs:
        text = (
            "Per-class scores and the label mean come from one confusion matrix over all test pixels, "
            "so large frames of a class weigh more. The sample mean scores each frame alone and then "
            "averages. They answer different questions and can disagree."
        )
        chosen.append(Remark("Label mean and sample mean", text))
    if any("EffNet" in one.name for measures in report.realism.values() for one in measures):
        text = (
            "FD-EffNetLite0 and KD-EffNetLite0 use an EfficientNet-Lite0 and not the Inception "
            "network of FID and KID. Their figures can be compared with each other, never with a "
            "published FID."
        )
        chosen.append(Remark("Not FID", text))
    if report.realism:
        text = (
            "A picture that looks real need not help a segmenter, and a copy of a training frame "
            "looks most real of all. Judge realism together with the scores above and with the "
            "distance to the nearest training frame."
        )
        chosen.append(Remark("Realism is not usefulness", text))
    if any(run.cell > 1 for run in report.runs):
        text = (
            "A segmenter that predicts on a coarser grid cannot draw a target smaller than one of its "
            "output cells. Where a class spans only a few cells, its score says more about the grid "
            "than about the training."
        )
        chosen.append(Remark("Small targets", text))
    return tuple(chosen)
