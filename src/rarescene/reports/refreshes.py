"""What an online strategy did, refresh by refresh. The workflow hands over the lines of its log and pictures.

Scores (IoU) are fractions from 0 to 1 here and are shown in per cent; `None` means that there is nothing to
score. Uncertainties are shown as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rarescene.reports.caveats import Remark
from rarescene.reports.provenance import Provenance
from rarescene.reports.svg import Curve, CurvePlot

if TYPE_CHECKING:
    import numpy as np

    from rarescene.scenes import ClassTable

SHOWN = 8
"""Refreshes that are shown one by one; of more, these many are taken evenly, with the first and the last."""


@dataclass(frozen=True)
class DrawnPair:
    """One synthetic pair: image and mask in class colours, uint8 `(H, W, 3)`, and the classes in it."""

    image: np.ndarray
    mask: np.ndarray
    words: str = ""


@dataclass(frozen=True)
class Refresh:
    """One refresh of an online strategy.

    Attributes:
        step: optimiser steps done.
        mean: label-mean IoU of the validation at which it happened, or None.
        iou: of each class there; None for a class that its labels do not show.
        lead: by what the strategy decided, of each class; None for a class that was neither predicted nor
            labelled.
        chosen: the classes that it turned to, the most urgent first.
        staleness: how many refreshes each class has waited.
        why: of each of them, whether it was "uncertain" or had "waited" long enough.
        requests: what was asked for, in words, each with how often.
        waiting: whether the pairs of a refresh before were still being drawn, so that nothing was asked for.
        drawn: pairs that were drawn for it.
        kept: pairs of them that were let through.
        dropped: the others, by reason.
        weights: by class, how much likelier than before any refresh a scene that shows it is drawn.
        seconds: what the drawing took.
        pause: the longest that a training step was held up by it in the background.
        stood: how long the training stood still here, the validation included.
        pairs: those of the drawn pairs that are shown.
        next_step: that of the next validation, or None.
        after_mean: label-mean IoU there, or None.
        after: IoU of each class there.
    """

    step: int
    mean: float | None = None
    iou: Mapping[str, float | None] = field(default_factory=dict)
    lead: Mapping[str, float | None] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()
    why: Mapping[str, str] = field(default_factory=dict)
    staleness: Mapping[str, int] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    waiting: bool = False
    drawn: int = 0
    kept: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    pause: float = 0.0
    stood: float = 0.0
    pairs: tuple[DrawnPair, ...] = ()
    next_step: int | None = None
    after_mean: float | None = None
    after: Mapping[str, float | None] = field(default_factory=dict)

    def asks(self, name: str) -> bool:
        """Return whether a class may be asked for; one that the generator was never shown may not."""
        return not self.staleness or name in self.staleness

    def change(self, name: str) -> float | None:
        """Return by how much the IoU of a class changed up to the next validation, or None."""
        before, after = self.iou.get(name), self.after.get(name)
        return None if before is None or after is None else after - before

    def by_lead(self, names: Sequence[str]) -> list[str]:
        """Return class names, the one that leads most first, and those without a value at the end."""
        known = {name: value for name in names if (value := self.lead.get(name)) is not None}
        return [*sorted(known, key=lambda name: -known[name]), *(name for name in names if name not in known)]


@dataclass(frozen=True)
class RefreshesReport:
    """Everything on the page of an online strategy.

    Attributes:
        title: heading of the page.
        summary: what was trained, and how the strategy decides, in one or two sentences.
        classes: the class table.
        lead: what the strategy decides by, such as "uncertainty".
        refreshes: in the order of their steps.
        rare: names of the rare classes; they are listed first.
        training_seconds: what the whole training took, or None.
        warnings: what a reader must know before any figure.
        phantom: whether the scenes are phantom ones.
        provenance: where the figures come from.
    """

    title: str
    summary: str
    classes: ClassTable
    lead: str = "uncertainty"
    refreshes: tuple[Refresh, ...] = ()
    rare: tuple[str, ...] = ()
    training_seconds: float | None = None
    warnings: tuple[str, ...] = ()
    phantom: bool = False
    provenance: Provenance = field(default_factory=Provenance)


def read_refreshes(
    lines: Sequence[Mapping[str, Any]],
    pairs: Mapping[int, tuple[DrawnPair, ...]] | None = None,
    *,
    later: bool = False,
) -> tuple[Refresh, ...]:
    """Return the refreshes of a log.

    Args:
        lines: those of `refreshes.jsonl`, in order; one without a decision is a validation alone.
        pairs: by step, the pairs that are to be shown.
        later: whether pairs were drawn in the background, so that lines after a refresh count them, up to
            that of the next refresh that asks for any.
    """
    found = []
    for place, line in enumerate(lines):
        if not line.get("lead"):
            continue
        following = lines[place + 1] if place + 1 < len(lines) else {}
        if "stood" not in following:  # no validation: it counts what was drawn after the last one
            following = {}
        made = _lines_of(lines, place) if later else [line]
        found.append(
            Refresh(
                step=line["step"],
                mean=line.get("validation"),
                iou=line.get("iou", {}),
                lead=line["lead"],
                chosen=tuple(line.get("classes", ())),
                why=line.get("why", {}),
                staleness=line.get("staleness", {}),
                requests=line.get("requests", {}),
                waiting=line.get("waiting", False),
                drawn=sum(one.get("drawn", 0) for one in made),
                kept=sum(one.get("kept", 0) for one in made),
                dropped=dict(sum((Counter(one.get("dropped", {})) for one in made), Counter[str]())),
                weights=line.get("weights", {}),
                seconds=sum(one.get("seconds", 0.0) for one in made),
                pause=max((one.get("pause", 0.0) for one in made), default=0.0),
                stood=line["stood"],
                pairs=(pairs or {}).get(line["step"], ()),
                next_step=following.get("step"),
                after_mean=following.get("validation"),
                after=following.get("iou", {}),
            )
        )
    return tuple(found)


def _lines_of(lines: Sequence[Mapping[str, Any]], place: int) -> list[Mapping[str, Any]]:
    """Return the lines that count what the refresh at `place` asked for; none if it waited."""
    if lines[place].get("waiting"):
        return []
    counting = []
    for line in lines[place + 1 :]:
        counting.append(line)
        if not line.get("waiting"):
            break
    return counting


def shown_in_full(refreshes: Sequence[Refresh]) -> list[Refresh]:
    """Return the refreshes that are shown one by one: all, or `SHOWN` taken evenly with both ends."""
    if len(refreshes) <= SHOWN:
        return list(refreshes)
    last = len(refreshes) - 1
    return [refreshes[round(place * last / (SHOWN - 1))] for place in range(SHOWN)]


def refresh_curves(report: RefreshesReport, colours: Mapping[str, str]) -> tuple[CurvePlot, ...]:
    """Return the plots over the steps: what led, by class and in its colour, and the validation."""
    steps = tuple(float(one.step) for one in report.refreshes)
    known = [
        name
        for name in report.classes.names
        if any(one.lead.get(name) is not None for one in report.refreshes)
    ]
    nothing = float("nan")
    lead = CurvePlot(
        f"{report.lead} by class",
        tuple(
            Curve(
                name,
                steps,
                tuple(
                    nothing if (value := one.lead.get(name)) is None else value for one in report.refreshes
                ),
                colours[name],
            )
            for name in known
        ),
        y_label=report.lead,
        logarithmic=True,
    )
    last = report.refreshes[-1]
    ends = [(one.step, one.mean) for one in report.refreshes] + [(last.next_step, last.after_mean)]
    means = [(float(step), mean) for step, mean in ends if step is not None and mean is not None]
    if not means:
        return (lead,)
    curve = Curve("label mean", tuple(step for step, _ in means), tuple(100 * value for _, value in means))
    return (lead, CurvePlot("validation, label mean", (curve,), y_label="IoU, %"))


def refresh_remarks(report: RefreshesReport) -> tuple[Remark, ...]:
    """Return what the figures of this page mean and do not mean."""
    chosen = []
    if report.phantom:
        text = "Phantom scenes are drawn by a program. What helps on them says nothing about surgery."
        chosen.append(Remark("Phantoms are not patients", text))
    text = (
        "From one validation to the next the segmenter trains on real scenes as well, and its learning rate "
        "may fall. So a class that gains need not gain by what was drawn. What the strategy does is told by "
        "the same run without it, at equal steps and over several seeds (rarescene compare)."
    )
    chosen.append(Remark("Before and after is no cause and effect", text))
    if report.lead == "uncertainty":
        text = (
            "How far posterior samples disagree, over the pixels labelled or predicted as the class. "
            "It is high at borders, and so for thin and small classes, even where they are segmented well. "
            "What is certain and wrong it does not see. A class that is absent for long gets its turn by "
            "waiting."
        )
        chosen.append(Remark("Uncertainty is not error", text))
    text = (
        "Decisions and scores here are of the validation recordings, which therefore lead the training. The "
        "test recordings were not looked at; rarescene evaluate scores them."
    )
    chosen.append(Remark("Validation is not a test", text))
    if any(one.drawn for one in report.refreshes):
        text = (
            "A generator draws what it has learned. Asked for a class that it knows badly, it may draw the "
            "scene around it and leave the class out, or label what the picture does not show. Look at the "
            "pairs."
        )
        chosen.append(Remark("Asked for is not drawn", text))
    return tuple(chosen)
