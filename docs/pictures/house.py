"""The house, drawn from the code: rooms on their floors, as large as their lines, and who imports whom.

    python docs/pictures/house.py

reads `src/rarescene` and the floors of import-linter's contract in `pyproject.toml`, and writes
`docs/pictures/house.svg`.
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "rarescene"
WIDTH, FLOOR, GAP, ROOM = 880, 92, 16, 52
INK, PAPER, LINE, ARROW = "#20303c", "#f4efe6", "#8a7f70", "#b0563a"


def floors() -> list[list[str]]:
    """Return the rooms of each floor, from the top, as import-linter has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[room.strip() for room in layer.split("|")] for layer in layers]


def files_of(room: str) -> list[Path]:
    """Return the files of a room."""
    return sorted((SOURCE / room).rglob("*.py")) or [SOURCE / f"{room}.py"]


def imports_of(path: Path) -> set[str]:
    """Return the rooms that a file imports, within functions too, but not for type checkers alone."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rarescene."):
            found.add((node.module or "").split(".")[1])
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def picture() -> str:
    """Return the house as SVG."""
    plan = floors()
    lines = {
        room: sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files_of(room))
        for rooms in plan
        for room in rooms
    }
    arrows = Counter(
        (room, other)
        for room in lines
        for path in files_of(room)
        for other in imports_of(path)
        if other in lines and other != room
    )
    height = FLOOR * len(plan) + 2 * GAP
    parts, centres = [], {}
    for number, rooms in enumerate(plan):
        top, left = GAP + number * FLOOR, 2.0 * GAP
        free = WIDTH - 4 * GAP - GAP * (len(rooms) - 1)
        weights = [max(lines[room], 1600) for room in rooms]
        whole = free * min(1.0, 0.35 + sum(weights) / 14_000)
        left += (free - whole) / 2
        for room, weight in zip(rooms, weights, strict=True):
            width = whole * weight / sum(weights)
            centres[room] = left + width / 2, top + ROOM / 2
            count = f"{len(files_of(room))} files, {lines[room]:,} lines"
            parts += [
                f'<rect x="{left:.0f}" y="{top}" width="{width:.0f}" height="{ROOM}" rx="4" fill="{PAPER}" '
                f'stroke="{LINE}"/>',
                f'<text x="{left + width / 2:.0f}" y="{top + 23}" text-anchor="middle" font-size="14" '
                f'font-weight="600" fill="{INK}">{escape(room)}</text>',
                f'<text x="{left + width / 2:.0f}" y="{top + 40}" text-anchor="middle" font-size="10" '
                f'fill="{INK}">{count}</text>',
            ]
            left += width + GAP
    drawn = []
    for (room, other), count in sorted(arrows.items()):
        (x, y), (u, v) = centres[room], centres[other]
        thick = 0.5 + min(count, 40) / 12
        bend = f"C{x:.0f},{y + FLOOR * 0.8:.0f} {u:.0f},{v - FLOOR * 0.8:.0f}"
        drawn.append(
            f'<path d="M{x:.0f},{y + ROOM / 2:.0f} {bend} {u:.0f},{v - ROOM / 2:.0f}" fill="none" '
            f'stroke="{ARROW}" stroke-width="{thick:.1f}" stroke-opacity="0.28">'
            f"<title>{room} imports {other} in {count} files</title></path>"
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" role="img"><title>The rooms of rarescene on their floors; '
        f"lines run from a room to those that it imports</title>{''.join(drawn)}{''.join(parts)}</svg>\n"
    )


if __name__ == "__main__":
    (ROOT / "docs" / "pictures" / "house.svg").write_text(picture(), encoding="utf-8")
