"""A run's folder: whether a command goes on with the run in it, and where its pictures lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.run_record import RECORD, RunRecord, read_record


def same_run(out: Path, record: RunRecord) -> None:
    """Refuse to go on with a run that was begun otherwise; only the training loop's settings may change.

    Raises:
        CheckpointError: the folder holds another kind of run, or its record is damaged.
        ConfigError: options or data differ from those that the run was begun with.
    """
    if not (out / RECORD).is_file():
        return
    earlier, now = (_begun_with(one) for one in (read_record(out, record.kind), record))
    changed = [name for name in now if earlier.get(name) != now[name]]
    if changed:
        remedy = "Repeat the options that the run was begun with, or choose another --out."
        raise ConfigError(f"the run was begun with another {', '.join(changed)}", remedy, out / RECORD)


def same_data(out: Path, record: RunRecord) -> None:
    """Refuse to go on with a run whose scenes were decoded to something else when it was begun.

    Raises:
        ConfigError: they are not what they were.
    """
    if not (out / RECORD).is_file():
        return
    earlier = read_record(out).decoded
    changed = [part for part, told in record.decoded.items() if earlier.get(part, told) != told]
    if changed:
        what = f"the run was begun with other masks or images ({', '.join(changed)})"
        remedy = (
            "Restore the data, and what the class table says of values and colours, as they were, or choose "
            "another --out."
        )
        raise ConfigError(what, remedy, out / RECORD)


def _begun_with(record: RunRecord) -> dict[str, Any]:
    """Return what a resumed run must have in common with the one that was begun, as JSON values by name."""
    value = json.loads(json.dumps(record.to_json()))
    config = {name: entry for name, entry in value["config"].items() if name != "training"}
    if isinstance(config.get("model"), dict):
        config["model"].pop("training", None)
    data = {
        f"number of {name}" if name == "scenes" else name: value["data"].get(name)
        for name in ("name", "scenes")
    }
    return config | data | {name: value[name] for name in ("seed", "recordings", "class_table")}


PICTURES = "refreshes"


def refresh_picture(folder: Path, step: int) -> Path:
    """Return where a run keeps the pictures of the pairs that were generated for the refresh at a step."""
    return folder / PICTURES / f"step_{step:08d}.png"
