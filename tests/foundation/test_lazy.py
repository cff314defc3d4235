"""A room opens name by name, and loads nothing before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rarescene.scenes
from rarescene.foundation.lazy import show_lazily

ROOMS = (
    "augmentation", "diffusion", "evaluation", "generators", "networks", "reports", "scenes", "segmenters",
    "training",
)  # fmt: skip


def test_a_room_gives_what_it_imports_for_type_checkers_and_nothing_else(tmp_path: Path) -> None:
    room = tmp_path / "__init__.py"
    room.write_text(
        "from typing import TYPE_CHECKING\n"
        "from rarescene.foundation.files import write_json\n"
        "if TYPE_CHECKING:\n"
        "    from rarescene.foundation.seeds import derive_seed\n"
        "    from rarescene.foundation.files import atomic, file_hash\n"
    )
    names, load, shown = show_lazily("a room", str(room))
    assert names == shown() == ["atomic", "derive_seed", "file_hash"]
    assert load("derive_seed").__module__ == "rarescene.foundation.seeds"
    with pytest.raises(AttributeError, match=r"'a room' has no public name 'write_json'"):
        load("write_json")


def test_no_room_loads_anything_when_it_is_opened() -> None:
    code = f"import sys\nfor room in {ROOMS}: __import__(f'rarescene.{{room}}')\n"
    code += "print([m for m in ('torch', 'numpy', 'diffusers', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_that_a_room_shows_is_there(room: str) -> None:
    module = __import__(f"rarescene.{room}", fromlist=["_"])
    assert module.__all__ == sorted(module.__all__) == module.__dir__()
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert not hasattr(rarescene.scenes, "no_such_name")


@pytest.mark.parametrize("room", ROOMS)
def test_no_name_is_that_of_a_file_of_its_room(room: str) -> None:
    """Importing the file would put the module in the name's place."""
    module = __import__(f"rarescene.{room}", fromlist=["_"])
    files = {path.stem for path in Path(str(module.__file__)).parent.glob("*.py")}
    assert not files.intersection(module.__all__)
