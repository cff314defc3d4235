"""What the benchmarks share: shipped configurations go in, results that say where they come from go out."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rarescene.cli import parse
from rarescene.foundation.files import write_json
from rarescene.foundation.run_record import describe_machine, installed_versions, source_commit

RESULTS = Path(__file__).parent / "results"


def shipped(name: str, *options: str, command: str = "train casdm") -> dict[str, Any]:
    """Return the arguments that `rarescene COMMAND --config NAME OPTIONS…` would be called with."""
    return parse(command, ["--config", name, *options])[1]


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write the results of a benchmark, under the machine, versions, commit and time that they belong to."""
    head = {
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "versions": installed_versions(),
        "commit": source_commit(),
    }
    write_json(path, head | dict(results))
