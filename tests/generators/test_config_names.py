"""The settings of the generators' room: one name, one class."""

from __future__ import annotations

from collections import Counter
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path

import rarescene.generators


def test_no_two_settings_share_a_name() -> None:
    room = Path(rarescene.generators.__file__).parent
    modules = [import_module(f"rarescene.generators.{path.stem}") for path in room.glob("*_config.py")]
    names = Counter(
        name
        for module in modules
        for name, value in vars(module).items()
        if is_dataclass(value) and value.__module__ == module.__name__
    )
    assert {"JointLatentConfig", "DatasetGanConfig"} <= set(names)
    assert [name for name, count in names.items() if count > 1] == []
