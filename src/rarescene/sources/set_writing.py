"""A synthetic set, written block by block by all processes; one that was killed resumes to the same files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.foundation.console import progress
from rarescene.foundation.errors import DataError
from rarescene.foundation.provenance import Provenance
from rarescene.foundation.run_record import RunRecord
from rarescene.scenes import ClassTable, SceneSet, SceneSetWriter
from rarescene.scenes.store import HEADER


@dataclass(frozen=True)
class SetScene:
    """One scene of a set.

    Attributes:
        image: uint8 `(H, W, 3)`; None in a set of masks.
        mask: uint8 `(H, W)` of class ids.
        details: what the manifest says of it.
        confidence: float32 `(H, W)` in [0, 1]; None where there is none.
    """

    image: np.ndarray | None
    mask: np.ndarray
    details: dict[str, Any]
    confidence: np.ndarray | None


def write_set(
    out: Path,
    run: Path,
    table: ClassTable,
    provenance: Provenance,
    made_by: Mapping[str, Any],
    *,
    count: int,
    seed: int,
    block: int,
    make: Callable[[range], Sequence[SetScene | None]],
    doing: str = "generating",
    loosen: str = "Ask for less (--trust.share, --trust.rule), or for more tries.",
) -> tuple[RunRecord, SceneSet] | None:
    """Write scenes 0 to `count - 1` of a set, or those of them that are missing.

    Args:
        out: folder of the set.
        run: of what makes them.
        table: the classes of the masks.
        provenance: where the scenes come from.
        made_by: what the header says of how they are made.
        count: number of scenes.
        seed: of the set.
        block: scenes made at once; processes take whole blocks.
        make: gives the scenes of a block of indices, of which the last may go beyond `count`; None for one
            that is left out.

    Returns:
        The record, not yet ended, and the set; None on all processes but the first.

    Raises:
        DataError: all scenes were left out.
    """
    from rarescene.training.ranks import accelerator, processes, this_rank

    ranks = this_rank()
    made_by = {**made_by, "count": count, "seed": seed}
    record = RunRecord.begin(
        kind="scene set",
        config={"run": str(run), **made_by},
        seed=seed,
        provenance=provenance,
        class_table=table.to_dict(),
        accelerator=accelerator(),
        processes=processes(),
    )
    header = {**made_by, "licence": provenance.licence, "seen": provenance.seen.spans}
    with ranks.main_process_first():  # it writes what the others then agree to
        if ranks.is_main_process and not (out / HEADER).is_file():
            record.write(out)  # first of all, since it tells whose folder it is
        writer = SceneSetWriter(out, table, header, rank=ranks.process_index, ranks=ranks.num_processes)
    mine = range(ranks.process_index, -(-count // block), ranks.num_processes)
    label = f"{doing}, rank {ranks.process_index}" if ranks.num_processes > 1 else doing
    with progress(label) as advance:
        for turn, number in enumerate(mine, start=1):
            indices = range(number * block, (number + 1) * block)
            wanted = range(indices.start, min(indices.stop, count))
            if not writer.done.issuperset(wanted):
                for index, one in zip(wanted, make(indices), strict=False):
                    if one is None:
                        continue
                    writer.add(index, one.image, one.mask, one.details, confidence=one.confidence)
            advance(turn, len(mine))
    ranks.wait_for_everyone()
    if not ranks.is_main_process:
        return None
    if next(out.glob("masks/**/*.png"), None) is None:
        what = f"none of {count} scenes was kept"
        raise DataError(what, loosen, out)
    return record, writer.finish()
