"""Scales as files: one may have another as its base, and name configurations that ship."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from rarescene.cli import parse
from rarescene.foundation.errors import ConfigError
from rarescene.generators import SdmConfig
from rarescene.recipes.scale import DataScale, read_scale_file


@dataclass(frozen=True)
class Scale:
    """A scale of one data set and one generator."""

    data: DataScale
    sdm: SdmConfig
    pairs: int


def test_a_scale_may_have_another_as_its_base(tmp_path: Path) -> None:
    small = "shared: {pairs: 3}\ndata: {spec: 'phantom:', split: time}\nsdm: sdm-tiny\npairs: 8\n"
    (tmp_path / "small.yaml").write_text(small)
    (tmp_path / "large.yaml").write_text("base: small\ndata: {spec: null}\npairs: 16\n")
    found = read_scale_file(Scale, "large", tmp_path, ["sdm"])
    assert (found.data, found.pairs) == (DataScale(None, "time"), 16)
    words = ["--config", "sdm-tiny", "--data", "phantom:", "--out", "run"]
    assert found.sdm == parse("train sdm", words)[1]["model"]
    with pytest.raises(ConfigError, match=r"no scale 'tiny'"):
        read_scale_file(Scale, "tiny", tmp_path, ["sdm"])
