"""What online strategies leave in a run folder: a line a refresh, pictures of synthetic pairs, a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import atomic, read_json_lines, write_json_lines
from rarescene.foundation.run_folder import refresh_picture
from rarescene.foundation.run_record import read_record
from rarescene.scenes import ClassTable

if TYPE_CHECKING:
    from rarescene.augmentation.synthetic_batch import SyntheticBatch

REFRESHES = "refreshes.jsonl"
"""One line a refresh, in the run's folder."""


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
        lines = read_json_lines(self.folder / REFRESHES)
        self.lines = lines[:count]
        if self.writes and lines[count:]:
            for line in lines[count:]:
                refresh_picture(self.folder, line["step"]).unlink(missing_ok=True)
            write_json_lines(self.folder / REFRESHES, self.lines)

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line. The first one replaces what a run without a checkpoint may have left."""
        if self.writes and not self.lines:
            self.go_on(0)
        self.lines.append(dict(line))
        if self.writes:
            write_json_lines(self.folder / REFRESHES, self.lines)

    def picture(self, batch: SyntheticBatch) -> None:
        """Keep pictures of a synthetic batch as those of the refresh that asked last: images above masks."""
        asked = [line["step"] for line in self.lines if line.get("requests")]
        if not (self.writes and asked and len(batch)):
            return
        count = min(PICTURED, len(batch))
        chosen = batch.take(np.linspace(0, len(batch) - 1, count).round().astype(int).tolist())
        rows = (chosen.images, np.stack([self.table.colourise(mask) for mask in chosen.masks]))
        with atomic(refresh_picture(self.folder, asked[-1])) as temporary:
            Image.fromarray(np.concatenate([np.concatenate(list(row), axis=1) for row in rows])).save(
                temporary
            )


def refuse_more_steps(folder: Path, steps: int) -> None:
    """Raise `ConfigError` if a run is to go on beyond its end, at which its strategy decided nothing."""
    lines = read_json_lines(folder / REFRESHES)
    last = read_record(folder).config["training"]["steps"] if lines else steps
    if last < steps and lines[-1].get("step") == last:
        what = f"the run ended at step {last}, where its strategy had nothing left to decide"
        raise ConfigError(what, f"Leave training.steps at {last}, or start a new run of {steps}.", folder)


def refresh_line(line: Mapping[str, Any], width: int = 80) -> str:
    """Return what a refresh decided, in one line of a terminal."""
    lead = {name: value for name, value in line.get("lead", {}).items() if value is not None}
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
        return f"{line['drawn']} pairs sampled, " + (f"{kept} kept, " if kept != line["drawn"] else "")
    if line.get("waiting"):
        return "still sampling, "
    if line.get("requests"):
        return f"{sum(line['requests'].values())} pairs asked for, "
    return f"weights up to ×{max(line['weights'].values()):.1f}, " if line.get("weights") else ""
