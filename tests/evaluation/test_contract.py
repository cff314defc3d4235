"""What every metric of ours must keep: the contract of `rarescene.testing`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rarescene.foundation.plugins import methods
from rarescene.testing import checks


@pytest.mark.parametrize("check", [one for metric in methods("metrics").values() for one in checks(metric)])
def test_contract(check: Callable[[], None]) -> None:
    check()
