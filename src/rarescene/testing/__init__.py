"""Contract suites: what a method of any family must keep. One line in anybody's tests:

```python
from rarescene.testing import checks_of

from my_package.segmenter import MINE, MyConfig


@checks_of(MINE, config=MyConfig(width=8))
def test_contract(check):
    check()
```

or, for all methods that an installed package declares:

```python
@checks_of_package("my-package", mine={"config": MyConfig(width=8)})
```

The checks are the functions of a family's module that take its `Subject` alone, as `of`; their docstrings say
what must hold.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import wraps
from importlib import import_module
from typing import Any

import pytest

from rarescene.foundation.configs import config_from
from rarescene.foundation.methods import Method
from rarescene.foundation.plugins import KINDS, Family, methods

pytest.register_assert_rewrite(*(f"{__name__}.{family}" for family in KINDS))  # before they are imported


def checks_of(method: Method, **given: Any) -> pytest.MarkDecorator:
    """Parametrise a test over the checks of a method, which it takes as `check` and calls.

    Args:
        method: a declaration of any family, of an installed package.
        **given: what the subject of the family takes beside it, such as a small `config`; see the modules
            here that bear the families' names.
    """
    return pytest.mark.parametrize("check", checks(method, **given))


def checks_of_package(package: str, /, **given: Mapping[str, Any]) -> pytest.MarkDecorator:
    """Parametrise a test over the checks of all methods that an installed package declares.

    Args:
        package: the name of the distribution.
        **given: by the name of a method, what `checks_of` takes beside it.

    Raises:
        ValueError: the package declares no method, or none of such a name.
    """
    own = [method for family in KINDS for method in methods(family).values() if method.package == package]
    if not own:
        raise ValueError(f"{package} declares no method: is it installed, with its entry points?")
    if unknown := given.keys() - {method.name for method in own}:
        raise ValueError(f"{package} declares no {', '.join(sorted(unknown))}")
    told = [check for method in own for check in checks(method, **given.get(method.name, {}))]
    return pytest.mark.parametrize("check", told)


def checks(method: Method, **given: Any) -> list[Any]:
    """Return the checks of a method as parameters of a test; the arguments are those of `checks_of`."""
    family = next(family for family, kind in KINDS.items() if isinstance(method, kind))
    room = import_module(f"{__name__}.{family}")
    declared = (is_found_and_says_what_it_is, has_options_that_a_record_can_keep)
    told = [_told(check, family, method) for check in declared]
    told += [_told(check, room.Subject(method, **given)) for check in vars(room).values() if _checks(check)]
    return [pytest.param(check, id=f"{method.command}-{check.__name__}") for check in told]


def is_found_and_says_what_it_is(family: Family, method: Method) -> None:
    """The package's entry points name the declaration, and its summary is one line without a full stop."""
    found = methods(family).get(method.name)  # type: ignore[call-overload]
    assert found is not None, f'install the package, with an entry point in the group "rarescene.{family}"'
    assert replace(found, package=method.package) == method, f"another method is called {method.name!r}"
    assert found.package
    assert method.summary
    assert "\n" not in method.summary
    assert not method.summary.endswith(".")
    assert method.command == method.command.lower().strip()
    assert " " not in method.command


def has_options_that_a_record_can_keep(family: Family, method: Method) -> None:
    """Options are a frozen dataclass that has defaults and comes back from JSON as it was."""
    kind = getattr(method, "config", None)
    if kind is None:
        return
    assert kind.__dataclass_params__.frozen
    options = json.loads(json.dumps(asdict(kind()), allow_nan=False))
    assert config_from(kind, options) == kind()


def _checks(thing: Any) -> bool:
    return inspect.isfunction(thing) and list(inspect.signature(thing).parameters) == ["of"]


def _told(check: Callable[..., None], *subject: Any) -> Callable[[], None]:
    @wraps(check)
    def told() -> None:
        try:
            check(*subject)
        except AssertionError as error:
            error.add_note(f"What must hold: {inspect.getdoc(check)}")
            raise

    return told
