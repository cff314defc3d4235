"""The settings of the generators' room: one name, one class."""

from __future__ import annotations

from collections import Counter
from dataclasses import is_dataclass

from rarescene.generators import config, datasetgan_config


def test_no_two_settings_share_a_name() -> None:
    names = Counter(
        name
        for module in (config, datasetgan_config)
        for name, value in vars(module).items()
        if is_dataclass(value) and value.__module__ == module.__name__
    )
    assert {"JointLatentConfig", "DatasetGanConfig"} <= set(names)
    assert [name for name, count in names.items() if count > 1] == []
