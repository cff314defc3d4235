"""Every method keeps the contract of its family: one line each."""

import pytest
from rarescene_plugin_example import accuracy, colours, painter_config, strips, twice
from rarescene_plugin_example.sample import write_strips

from rarescene.testing import checks, checks_of

OTHERS = [colours.COLOURS, painter_config.PAINTER, twice.TWICE, accuracy.ACCURACY]


@checks_of(strips.STRIPS, write=write_strips)
def test_strips(check):
    check()


@pytest.mark.parametrize("check", [one for method in OTHERS for one in checks(method)])
def test_others(check):
    check()
