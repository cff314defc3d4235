"""Where the numbers of a page or of a card come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rarescene.foundation.run_record import RunRecord

PHANTOM_WARNING = "Phantom scenes: procedural pictures. No figure here is a surgical one."


@dataclass(frozen=True)
class Origins:
    """Where the numbers come from.

    Attributes:
        commands: the commands that made them, in order.
        data: name of the data set.
        licence: its licence.
        split: how recordings were split, in words.
        train: recordings trained on.
        validation: recordings of the validation.
        test: recordings that the numbers are measured on.
        seeds: the seeds.
        commit: the commit of the code, `+` appended where files were changed.
        machine: processor, accelerator, memory, in words.
        versions: package names and versions.
        more: anything else worth a line: label and text.
    """

    commands: tuple[str, ...] = ()
    data: str = ""
    licence: str = ""
    split: str = ""
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    commit: str = ""
    machine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)


def origins_of(records: Sequence[RunRecord], **more: str) -> Origins:
    """Return where numbers come from, told by the records of the runs behind them, each fact once.

    `more` adds lines, such as the wall time. What the runs trained on is what any of them has seen.
    """

    def each(values: Sequence[object]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(value) for value in values if value))

    behind = [record.provenance for record in records]
    held_out = {
        part: sorted({name for one in behind for name in one.recordings.get(part, ())})
        for part in ("validation", "test")
    }
    return Origins(
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


def _machine(machine: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items())
