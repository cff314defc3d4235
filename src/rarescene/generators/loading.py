"""Any generator, by what its folder says it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.files import read_json
from rarescene.foundation.methods import Generated, GeneratorMethod
from rarescene.foundation.plugins import method_of
from rarescene.generators.metadata import DESCRIPTION


def load_generator(folder: Path, generates: Generated) -> Any:
    """Read what the `save` of any generator wrote that generates this.

    Raises:
        CheckpointError: a file is missing or damaged, does not fit, or describes something else; or the
            method is not installed here.
    """
    path = folder / DESCRIPTION
    values = read_json(path)
    values = values if isinstance(values, dict) else {}
    method: GeneratorMethod = method_of("generators", values.get("generator"), values.get("package"), path)
    if method.generates != generates:
        what = f"is of a {method.title}, which generates {method.generates}; one of {generates} is needed"
        raise CheckpointError(what, "Give the folder of such a run.", path)
    return method.load(folder)


def load_image_generator(folder: Path) -> Any:
    """Read what the `save` of any image generator wrote; raises what `load_generator` raises."""
    return load_generator(folder, "images")


def kinds_that_generate(generates: Generated) -> dict[str, str]:
    """Return the kinds of run records whose generators generate this, and how cards call them."""
    from rarescene.foundation.plugins import methods

    return {
        name: method.title for name, method in methods("generators").items() if method.generates == generates
    }
