"""What online strategies leave in a run folder: a line a refresh, pictures of the drawn pairs, and a page."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import atomic, read_json_lines, write_json_lines
from rarescene.foundation.run_record import RunRecord, read_record
from rarescene.scenes import ClassTable
from rarescene.workflows.prepared import is_phantom

if TYPE_CHECKING:
    from rarescene.augmentation.synthetic_batch import Stock
    from rarescene.reports import DrawnPair

REFRESHES = "refreshes.jsonl"
"""One line a refresh, in the run's folder."""

PAGE = "refreshes.html"
PICTURES = "refreshes"

LEADS = {"uncertainty": "uncertainty", "score": "1 − IoU"}
"""What the page calls what a strategy goes by."""

PICTURED = 16
"""Pairs of a refresh that are kept as pictures; of more, these many are taken evenly."""


class RefreshLog:
    """`refreshes.jsonl` and `refreshes/`. Whoever goes on with a run drops what came after its checkpoint.

    Args:
        folder: of the run.
        table: its classes.
        writes: whether this process writes; all know the lines.
    """

    def __init__(self, folder: Path, table: ClassTable, writes: bool) -> None:
        self.folder, self.table, self.writes = folder, table, writes
        self.lines: list[dict[str, Any]] = []

    def go_on(self, count: int) -> None:
        """Take up the first lines of an earlier process, and drop the others with their pictures."""
        self.lines = read_json_lines(self.folder / REFRESHES)[:count]
        if self.writes:
            write_json_lines(self.folder / REFRESHES, self.lines)
            known = {_picture(self.folder, line["step"]) for line in self.lines}
            for path in (self.folder / PICTURES).glob("step_*.png"):
                if path not in known:
                    path.unlink()

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line. The first one replaces what a run without a checkpoint may have left."""
        if self.writes and not self.lines:
            shutil.rmtree(self.folder / PICTURES, ignore_errors=True)
        self.lines.append(dict(line))
        if self.writes:
            write_json_lines(self.folder / REFRESHES, self.lines)

    def picture(self, stock: Stock) -> None:
        """Keep pictures of a synthetic batch as those of the refresh that asked last: images above masks."""
        asked = [line["step"] for line in self.lines if line.get("requests")]
        if not (self.writes and asked and len(stock)):
            return
        count = min(PICTURED, len(stock))
        chosen = stock.take(np.linspace(0, len(stock) - 1, count).round().astype(int).tolist())
        rows = (chosen.images, np.stack([self.table.colourise(mask) for mask in chosen.masks]))
        with atomic(_picture(self.folder, asked[-1])) as temporary:
            Image.fromarray(np.concatenate([np.concatenate(list(row), axis=1) for row in rows])).save(
                temporary
            )


def refuse_more_steps(folder: Path, steps: int) -> None:
    """Raise `ConfigError` if a run is to go on beyond its end, at which its strategy decided nothing."""
    lines = read_json_lines(folder / REFRESHES)
    last = read_record(folder).config["training"]["steps"] if lines else steps
    if last < steps and lines[-1]["step"] == last:
        what = f"the run ended at step {last}, where its strategy had nothing left to decide"
        raise ConfigError(what, f"Leave training.steps at {last}, or start a new run of {steps}.", folder)


def write_page(
    folder: Path, record: RunRecord, lines: Sequence[Mapping[str, Any]], rare: Sequence[str] = ()
) -> Path:
    """Write the page about all refreshes of a finished run; it lists the rare classes first."""
    from rarescene.reports import (
        PHANTOM_WARNING,
        RefreshesReport,
        provenance,
        read_refreshes,
        write_refreshes,
    )

    config, phantom = record.config, is_phantom(record)
    table = ClassTable.from_dict(record.class_table)
    gauda = config["strategies"].get("gauda")
    later = gauda is not None and gauda["drawing"]["when"] != "at_refresh"
    pairs = {
        line["step"]: read_pictures(_picture(folder, line["step"]), config["width"], table) for line in lines
    }
    report = RefreshesReport(
        title=f"{config['strategy'].replace(',', ' with ')}: {config['segmenter'].replace('_', ' ')}",
        summary=_summary(config, lines),
        classes=table,
        lead=LEADS[lines[0]["by"]] if lines else "",
        refreshes=read_refreshes(lines, pairs, later=later),
        rare=tuple(rare),
        training_seconds=record.seconds,
        warnings=(PHANTOM_WARNING,) if phantom else (),
        phantom=phantom,
        provenance=provenance([record]),
    )
    return write_refreshes(report, folder / PAGE)


def read_pictures(path: Path, width: int, table: ClassTable) -> tuple[DrawnPair, ...]:
    """Return the pairs of a picture of `RefreshLog`, each `width` pixels wide; none without a file."""
    from rarescene.reports import DrawnPair

    if not path.is_file():
        return ()
    with Image.open(path) as opened:
        images, masks = np.split(np.asarray(opened.convert("RGB")), 2)
    found = []
    for start in range(0, images.shape[1], width):
        image, mask = (row[:, start : start + width] for row in (images, masks))
        colours = {tuple(colour) for colour in np.unique(mask.reshape(-1, 3), axis=0).tolist()}
        names = [entry.name for entry in table.classes if entry.colour in colours]
        found.append(DrawnPair(image, mask, ", ".join(names)))
    return tuple(found)


def refresh_line(line: Mapping[str, Any], width: int = 80) -> str:
    """Return what a refresh decided, in one line of a terminal."""
    lead = {name: value for name, value in line["lead"].items() if value is not None}
    worst = sorted(lead, key=lambda name: -lead[name])
    head = f"step {line['step']}: {'most uncertain' if line['by'] == 'uncertainty' else 'lowest IoU'} "
    values = [
        f"{name} {lead[name]:.2g}" if line["by"] == "uncertainty" else f"{name} {1 - lead[name]:.2f}"
        for name in worst
    ]
    tail = f" → {_outcome(line)}{line['stood']:.1f} s"
    shown = values[:1]
    for value in values[1:]:
        if len(f"{head}{', '.join([*shown, value])}, …{tail}") > width:
            break
        shown.append(value)
    more = ", …" if len(shown) < len(values) else ""
    return f"{head}{', '.join(shown)}{more}{tail}"


def _outcome(line: Mapping[str, Any]) -> str:
    if line.get("drawn"):
        kept = line["kept"]
        return f"{line['drawn']} pairs drawn, " + (f"{kept} kept, " if kept != line["drawn"] else "")
    if line.get("waiting"):
        return "still drawing, "
    if line.get("requests"):
        return f"{sum(line['requests'].values())} pairs asked for, "
    return f"weights up to ×{max(line['weights'].values()):.1f}, " if line.get("weights") else ""


def _picture(folder: Path, step: int) -> Path:
    return folder / PICTURES / f"step_{step:08d}.png"


def _summary(config: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> str:
    said = [
        f"Every {config['training']['validate_every']} steps the segmenter is asked what it does not know."
    ]
    strategies = config["strategies"]
    if "gauda" in strategies:
        gauda = strategies["gauda"]
        between = any(line.get("step_ticks") for line in lines)  # "beside" as well, where no GPU was left
        when = {
            "at_refresh": "at once",
            "between_steps": "between the training steps",
            "beside": "between the training steps" if between else "beside the training",
        }[gauda["drawing"]["when"]]
        said.append(
            f"{gauda['size']} pairs are drawn for the {gauda['classes']} most uncertain classes, {when}, "
            f"by {config['drawn']['generator']}; until the next batch a training scene is replaced by one of "
            f"them with probability {gauda['probability']:g}."
        )
    if "adaptive" in strategies:
        lead = {"score": "those with the lowest IoU", "uncertainty": "the most uncertain ones"}
        said.append(
            f"Scenes that show needy classes, {lead[strategies['adaptive']['by']]}, are drawn more often."
        )
    if "classic" in strategies:
        said.append("Scenes are cropped, mirrored and rotated at random.")
    return " ".join(said)
