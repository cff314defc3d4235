"""`rarescene check`: all faults of a data set at once."""

from __future__ import annotations

from pathlib import Path

from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.console import progress, say, show
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import expanded, write_json
from rarescene.foundation.outputs import alone_at, need_own_file


@takes_text_for_paths
def check(
    data: str, *, group_by: str | None = None, write_classes: bool = False, out: Path | None = None
) -> int:
    """Decode every file of a data set and tell all of its faults; notes on what is merely unusual follow.

    Faults of one kind are told together: how many there are, the first files, and what to do. Exits with 0 if
    there is no fault, with 1 if there is any.

    Args:
        data: NAME:PATH or a YAML file.
        group_by: regular expression whose first group tells the recordings of a folder apart.
        write_classes: for a folder without classes.json: write the one that all of its masks propose, to be
            edited.
        out: JSON file to write as well, with each fault, its file and its remedy, and the notes.
    """
    from rarescene.reports import faults_table, recordings_table
    from rarescene.scenes import scan_scenes

    need_own_file(out, '"faults"', '"notes"')
    if write_classes:
        _write_proposal(data)
    with progress("checking") as advance:
        found = scan_scenes(data, group_by=group_by, progress=advance)
    show(faults_table(found.faults, found.notes))
    if out is not None:
        with alone_at(out):
            write_json(out, {"faults": [fault.to_dict() for fault in found.faults], "notes": found.notes})
        say(f"written to {out}")
    if found.scenes is not None:
        scenes = found.scenes
        show(recordings_table(scenes.listed))
        say(f"{len(scenes)} sound scenes of {len(scenes.groups)} recordings; licence: {scenes.licence}")
    return 1 if found.faults else 0


def _write_proposal(data: str) -> None:
    from rarescene.scenes.datasets.folder import FOLDER, propose_for
    from rarescene.scenes.datasets.open import understood

    method, path, options = understood(data)
    root = expanded(path)
    if method.name != FOLDER.name:
        raise ConfigError(
            f"--write-classes is for folder:PATH, not for {data!r}", "Leave --write-classes out."
        )
    if not root.is_dir():
        raise ConfigError("is not a folder", "Check the path of the data.", root)
    with progress("looking at masks") as advance:
        target, table = propose_for(root, **options, progress=advance)
    write_json(target, table)
    say(f"wrote {target}: give the classes their names, then check again")
    if "note" in table:
        say(f"note: {table['note']}")
