"""The settings of the generators' room: one name, one class."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import is_dataclass
from pathlib import Path

import rarescene.generators


def test_no_two_settings_share_a_name() -> None:
    files = sorted(Path(str(rarescene.generators.__file__)).parent.glob("*_config.py"))
    modules = [importlib.import_module(f"rarescene.generators.{path.stem}") for path in files]
    names = Counter(
        name
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and is_dataclass(value) and value.__module__ == module.__name__
    )
    assert {"JointLatentConfig", "DatasetGanConfig", "CasdmConfig"} <= set(names)
    assert [name for name, count in names.items() if count > 1] == []
