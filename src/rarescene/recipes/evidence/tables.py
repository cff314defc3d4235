"""What a study has found so far: comparisons, verdicts, and the page that grows while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from rarescene.evaluation.overlap import class_iou
from rarescene.evaluation.significance import Comparison, ComparisonTable, compare
from rarescene.foundation.errors import RareSceneError
from rarescene.foundation.run_record import read_record
from rarescene.recipes.evidence.config import BASELINE
from rarescene.recipes.evidence.grid import ALL, BY_FRAME, Grid, own_scores, test_scores
from rarescene.recipes.evidence.study import Part, mean_of
from rarescene.recipes.outcome import MISSING, Outcome, Sheet, gained, percent, points, tested
from rarescene.recipes.run_store import Planned
from rarescene.reports.formatting import count, listing, share
from rarescene.reports.verdict import Verdict, verdict_on

LEARNED = 0.5
"""Mean IoU of the rare classes on its own training frames below which a segmenter has not learned them."""

WORDS = {"gain": "helped", "loss": "did not help", "open": "not shown", "missing": "not measured"}
"""What a verdict says of an arm, in plain words."""

Means = Mapping[str, float | None]


@dataclass
class Evidence(Outcome):
    """The outcome of a study, whose scale is its configuration."""

    @property
    def command(self) -> str:
        """The command that makes it again."""
        return f"rarescene benchmark --config {self.scale}{self.options}"


@dataclass(frozen=True)
class Compared:
    """The arms of one part of the data and one segmenter.

    Attributes:
        measure: what the verdicts are about.
        tables: by baseline, all arms against it, at the seeds that all of them have.
        own: by arm, IoU of each rare class on the segmenters' own training frames, over the same seeds, and
            under `measure` the mean of them.
        left_out: arms that have no seed in common with the others yet.
    """

    part: Part
    segmenter: str
    measure: str
    tables: Mapping[str, ComparisonTable]
    own: Mapping[str, Means]
    left_out: tuple[str, ...] = ()

    def verdict(self, against: str, arm: str) -> Verdict:
        """Return what an arm changed against a baseline."""
        return verdict_on(self.tables[against], arm, measure=self.measure)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        verdicts = {
            base: {
                arm: {"verdict": WORDS[found.tone], **asdict(found)}
                for arm in table.strategies[1:]
                for found in [self.verdict(base, arm)]
            }
            for base, table in self.tables.items()
        }
        return {
            "part": self.part.name, "segmenter": self.segmenter, "measure": self.measure,
            "against": {base: table.to_dict() for base, table in self.tables.items()},
            "verdicts": verdicts, "own_training_frames": self.own,
        }  # fmt: skip


def compared(grid: Grid, part: Part, segmenter: str) -> Compared | None:
    """Compare the arms of which all seeds are there that any other has; None while there are not two of them.

    An arm of which a cell failed is left out until it is there, so that it costs the others no seed.
    """
    failed = {
        cell.arm
        for cell in grid.cells(part)
        for failure in grid.failures
        if cell.segmenter == segmenter and failure.cell == cell.name
    }
    found = {arm: runs for arm, runs in grid.runs(part, segmenter).items() if arm not in failed}
    if BASELINE not in found or len(found) < 2:
        return None
    seeds = [seed for seed in grid.config.seeds if all(seed in runs for runs in found.values())]
    if not seeds:
        return None
    runs = {arm: {seed: by_seed[seed] for seed in seeds} for arm, by_seed in found.items()}
    scores = {arm: test_scores(part, by_seed) for arm, by_seed in runs.items()}
    measure = "rare mean" if len(part.rare) > 1 else part.rare[0]
    tables = {
        base: compare(scores, part.classes, baseline=base, rare=part.rare)
        for base in (BASELINE, *grid.config.against)
        if base in scores
    }
    own = {arm: _own(part, measure, by_seed) for arm, by_seed in runs.items()}
    return Compared(part, segmenter, measure, tables, own, tuple(sorted(failed)))


def evidence(grid: Grid, name: str, options: str) -> Evidence:
    """Return what is there so far, as a page and as JSON values.

    Args:
        name: of the configuration.
        options: what else the command was called with.
    """
    config = grid.config
    outcome = Evidence("evidence", name, f"Does it help? {name}", options=options)
    outcome.say(*grid.whole.setting(config.height, config.width), *_said(grid))
    found = []
    for part in grid.parts:
        for segmenter in config.segmenters:
            for arm, runs in grid.runs(part, segmenter).items():
                where = "" if part.name == ALL else f", {part.name}"
                outcome.used(
                    {f"{segmenter}, {arm}, seed {seed}{where}": run.path for seed, run in runs.items()}
                )
            if (one := compared(grid, part, segmenter)) is not None:
                found.append(one)
                outcome.sheets += [*_sheets(one), _own_sheet(one)]
                outcome.say(*_verdicts(one))
    outcome.sheets += [sheet for segmenter in config.segmenters for sheet in _across(found, segmenter)]
    missing = [cell.name for part in grid.parts for cell in grid.cells(part) if grid.there(cell) is None]
    outcome.say(*(f"Failed: {one.cell}. {one.why}" for one in grid.failures))
    failed = {failure.cell for failure in grid.failures}
    if unmade := [cell for cell in missing if cell not in failed]:
        outcome.say(f"Not trained yet: {'; '.join(unmade)}.")
    choices = grid.choices()
    for (part, segmenter, arm), choice in choices.items():
        scored = ", ".join(f"{share(one)}: {percent(score)}" for one, score in choice.scores.items())
        outcome.say(
            f"{segmenter}, {arm}, {part.name}: a share of {share(choice.share)}, chosen on the validation "
            f"part by the mean IoU of the rare classes of seed {config.seeds[0]} ({scored})."
        )
    outcome.values |= {
        "configuration": asdict(config),
        "rare": list(grid.whole.rare),
        "data": grid.whole.data.provenance().describe()
        | {"tested_on": config.data.tested_on, "unlabelled": config.data.unlabelled},
        "tables": [one.to_dict() for one in found],
        "chosen": [
            {"part": part.name, "segmenter": segmenter, "arm": arm, "share": choice.share,
             "scores": {str(one): score for one, score in choice.scores.items()}}
            for (part, segmenter, arm), choice in choices.items()
        ],
        "sets": _sets(grid),
        "failed": [asdict(failure) for failure in grid.failures],
        "missing": missing,
    }  # fmt: skip
    return outcome


def _own(part: Part, measure: str, runs: Mapping[int, Planned]) -> dict[str, float | None]:
    """Return the IoU of each rare class on the training frames, averaged over seeds, and their mean."""
    by_seed = [class_iou(scores.values(), part.classes) for scores in own_scores(runs).values()]

    def averaged(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    found = {name: averaged([one[name] for one in by_seed]) for name in part.rare}
    return found | {measure: averaged([mean_of(one, part.rare) for one in by_seed])}


def _sheets(one: Compared) -> list[Sheet]:
    """Return, for each baseline, what every arm scored and changed, and the change of each rare class."""
    where = "" if one.part.name == ALL else f", {one.part.name}"
    made = []
    for base, table in one.tables.items():
        seeds, recordings = count(len(table.seeds), "seed"), count(len(table.recordings), "test recording")
        head = f"{one.segmenter} against {base}{where}: {one.measure}, IoU in per cent; {seeds}, {recordings}"
        rows = []
        for arm in table.strategies:
            row = table.of(arm, one.measure)
            changed = None if arm == base else row
            verdict = "itself" if arm == base else MISSING
            if arm not in (base, BASELINE):  # that adding nothing helps is no question
                verdict = WORDS[one.verdict(base, arm).tone]
            cells = (percent(row.mean, row.interval), gained(changed), *tested(changed))
            rows.append((arm, *cells, percent(one.own[arm][one.measure]), verdict))
        made.append(Sheet(head, ("arm", "score", "change", "d", "p", "own frames", "verdict"), tuple(rows)))
        if len(one.part.rare) > 1:
            title = f"{one.segmenter} against {base}{where}: change of each rare class, points of IoU"
            changes = tuple(
                (arm, *(gained(table.of(arm, name)) for name in one.part.rare))
                for arm in table.strategies[1:]
            )
            made.append(Sheet(title, ("arm", *one.part.rare), changes))
    return made


def _own_sheet(one: Compared) -> Sheet:
    """Return what the segmenters score on the frames that they were trained on."""
    where = "" if one.part.name == ALL else f", {one.part.name}"
    title = f"{one.segmenter}{where}: IoU in per cent on its own training frames, at the size of its images"
    names = tuple(dict.fromkeys((one.measure, *one.part.rare)))
    rows = tuple((arm, *(percent(own[name]) for name in names)) for arm, own in one.own.items())
    return Sheet(title, ("arm", *names), rows)


def _across(found: Sequence[Compared], segmenter: str) -> list[Sheet]:
    """Return the scarcity curve of a segmenter, and what its split by frame would report."""
    mine = {one.part.name: one for one in found if one.segmenter == segmenter}
    fewer = [one for one in mine.values() if one.part.name != BY_FRAME]
    sheets = []
    if len(fewer) > 1:
        curve = sorted(fewer, key=lambda one: len(one.part.data.split.recordings["train"]))
        heads = tuple(str(len(one.part.data.split.recordings["train"])) for one in curve)
        title = f"{segmenter}: {curve[0].measure} by the number of training recordings, IoU in per cent"
        sheets.append(_side_by_side(title, curve, heads, _score))
        title = f"{segmenter}: change against {BASELINE} by the number of training recordings, points of IoU"
        sheets.append(_side_by_side(title, curve, heads, gained, without=BASELINE))
    if ALL in mine and BY_FRAME in mine:
        both = [mine[ALL], mine[BY_FRAME]]
        title = f"{segmenter}: what a split by frame would report, {both[0].measure}, IoU in per cent"
        sheet = _side_by_side(title, both, (f"by {both[0].part.data.split.how}", "by frame"), _score)
        rows = tuple((*row, _leakage(mine[ALL], mine[BY_FRAME], row[0])) for row in sheet.rows)
        sheets.append(Sheet(title, (*sheet.columns, "leakage"), rows))
    return sheets


def _leakage(honest: Compared, by_frame: Compared, arm: str) -> str:
    """Return how much more an arm scores, in points, where recordings are cut through."""
    rows = [one.tables[BASELINE].get(arm, one.measure) for one in (by_frame, honest)]
    known = [row.mean for row in rows if row is not None and row.mean is not None]
    return points(known[0] - known[1]) if len(known) == len(rows) else MISSING


def _side_by_side(
    title: str, parts: Sequence[Compared], heads: Sequence[str], cell: Any, without: str = ""
) -> Sheet:
    arms = dict.fromkeys(arm for one in parts for arm in one.tables[BASELINE].strategies if arm != without)
    rows = tuple((arm, *(cell(one.tables[BASELINE].get(arm, one.measure)) for one in parts)) for arm in arms)
    return Sheet(title, ("arm", *heads), rows)


def _score(row: Comparison | None) -> str:
    return MISSING if row is None else percent(row.mean, row.interval)


def _verdicts(one: Compared) -> list[str]:
    """Return what every arm did, in plain words, and what limits it."""
    where = "" if one.part.name == ALL else f" ({one.part.name})"
    notes = []
    for base, table in one.tables.items():
        for arm in table.strategies[1:]:
            if arm == BASELINE:
                continue
            found = one.verdict(base, arm)
            notes.append(f"{one.segmenter}{where}, {arm}: {WORDS[found.tone]}. {found.sentence}")
            notes += found.caveats
        notes += table.notes
    own = one.own[BASELINE][one.measure]
    if own is not None and own < LEARNED:
        notes.append(
            f"{one.segmenter}{where}: {BASELINE} reaches {percent(own)} % in the {one.measure} on its own "
            "training frames. It has not learned even those: give it more steps before anything is said of "
            "rare classes."
        )
    if one.left_out:
        notes.append(f"{one.segmenter}{where}: not compared, since a cell failed: {listing(one.left_out)}.")
    return notes


def _said(grid: Grid) -> list[str]:
    """Return how the arms were trained and what they were tested on."""
    config, notes = grid.config, []
    if (scenes := grid.tested_on) is not None:
        size = f"{count(len(scenes), 'frame')} of {count(len(scenes.groups), 'recording')}"
        notes.append(f"Tested on all of {config.data.tested_on}, {size}, and not on the test part.")
    if any(arm.set is not None and arm.set.labels for arm in config.arms.values()):
        judge = f"{next(iter(config.segmenters))} of seed {config.judge_seed}, trained on real frames alone"
        notes.append(f"Frames without masks: all of {config.data.unlabelled}, labelled by {judge}.")
    for name in config.segmenters:
        _, _, training = config.segmenter(name)
        steps = f"{training.steps} steps of {training.batch_size}"
        notes.append(f"{name}: {steps}, the same for all arms; seeds {', '.join(map(str, config.seeds))}.")
    if any(arm.set is not None for arm in config.arms.values()):
        seeds = ", ".join(map(str, config.generator_seeds))
        notes.append(f"Seeds of generators and sets, taken in turn by the seeds of the segmenters: {seeds}.")
    for part in grid.parts:
        if part is not grid.whole and part.data.split.warning:
            notes.append(f"{part.name}: {part.data.split.warning}")
        if part.name == BY_FRAME and grid.tested_on is not None:
            notes.append(f"{part.name}: tested on its own test part, since it cuts through no other data.")
        if hidden := [name for name in part.rare if name not in part.targets]:
            notes.append(f"{part.name}: no training frame shows {listing(hidden)}.")
        if lacking := next((arm for arm in config.arms.values() if arm.classes == "missed"), None):
            with suppress(RareSceneError):  # told where a cell needs it
                if (found := part.classes_of(lacking)) is not None:
                    notes.append(f"{part.name}: on the validation part the judge misses {listing(found)}.")
    return notes


def _sets(grid: Grid) -> list[dict[str, Any]]:
    """Return what became of each synthetic set that is there."""
    found = []
    for part in grid.parts:
        for name, arm in grid.config.arms.items():
            for seed in dict.fromkeys(map(grid.config.generator_seed, grid.config.seeds)):
                try:
                    made = part.made_set(arm, seed)
                except RareSceneError:  # told where a cell needs it
                    continue
                if made is not None and made.there:
                    record = read_record(made.path)
                    found.append({
                        "part": part.name, "arm": name, "seed": seed, "run": made.name,
                        "classes": list(part.classes_of(arm) or ()),
                        "asked": record.config["count"], "kept": record.metrics["pairs"],
                        "trust": record.config.get("trust"), "labelled": record.metrics.get("labelled"),
                    })  # fmt: skip
    return found
