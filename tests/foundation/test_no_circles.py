from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import rarescene

SOURCE = Path(rarescene.__file__).parent


def module_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.Module, within_functions: bool) -> Iterator[tuple[str, str]]:
    """Yield module and name of every import, without those for type checkers alone."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            todo += node.orelse
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not within_functions:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        todo += ast.iter_child_nodes(node)


def graph(root: Path, within_functions: bool) -> dict[str, set[str]]:
    """Return the modules that each module of a package imports; a public name of a room is its module's."""
    trees = {
        module_of(path, root): ast.parse(path.read_text(encoding="utf-8")) for path in root.rglob("*.py")
    }
    shown = {
        (room, alias.name): node.module
        for room, tree in trees.items()
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    found: dict[str, set[str]] = {}
    for module, tree in trees.items():
        names = {
            f"{source}.{name}" if f"{source}.{name}" in trees else shown.get((source, name), source)
            for source, name in imported(tree, within_functions)
        }
        found[module] = {name for name in names if name in trees}
    return found


def circle(edges: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_files_import_each_other_in_a_circle() -> None:
    edges = graph(SOURCE, within_functions=False)
    assert len(edges) > 100
    assert circle(edges) == []


def test_nor_do_those_of_scenes_within_functions() -> None:
    scenes = {
        module: {name for name in names if name.startswith("rarescene.scenes")}
        for module, names in graph(SOURCE, within_functions=True).items()
        if module.startswith("rarescene.scenes")
    }
    assert len(scenes) > 40
    assert circle(scenes) == []


@pytest.mark.parametrize("within_functions", [False, True])
def test_a_circle_is_found(tmp_path: Path, within_functions: bool) -> None:
    root = tmp_path / "house"
    root.mkdir()
    (root / "__init__.py").write_text("if TYPE_CHECKING:\n    from house.a import one\n")
    (root / "a.py").write_text("from house.b import two\n")
    (root / "b.py").write_text("def two():\n    from house import one\n")
    assert (set(circle(graph(root, within_functions))) == {"house.a", "house.b"}) is within_functions
