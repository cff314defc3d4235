"""The classes of CaDISv2 (cataract surgery): 36 ids in the files, and the three settings that merge them.

Colours are ours: anatomy and surroundings in natural tones, instruments in vivid ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from rarescene.scenes.class_table import ClassTable, Colour, SceneClass

RAW: tuple[tuple[str, Colour], ...] = (
    ("pupil", (40, 20, 60)),
    ("surgical tape", (140, 170, 190)),
    ("hand", (240, 200, 170)),
    ("eye retractors", (110, 110, 120)),
    ("iris", (160, 110, 70)),
    ("skin", (250, 215, 195)),
    ("cornea", (215, 130, 120)),
    ("hydrodissection cannula", (0, 255, 0)),
    ("viscoelastic cannula", (0, 255, 191)),
    ("capsulorhexis cystotome", (255, 0, 191)),
    ("Rycroft cannula", (191, 255, 128)),
    ("Bonn forceps", (255, 223, 0)),
    ("primary knife", (255, 0, 0)),
    ("phaco handpiece", (0, 0, 255)),
    ("lens injector", (0, 217, 217)),
    ("I/A handpiece", (128, 128, 255)),
    ("secondary knife", (255, 0, 96)),
    ("micromanipulator", (217, 108, 0)),
    ("I/A handle", (0, 54, 217)),
    ("capsulorhexis forceps", (183, 64, 255)),
    ("Rycroft handle", (29, 115, 0)),
    ("phaco handle", (0, 0, 115)),
    ("cystotome handle", (166, 83, 155)),
    ("secondary knife handle", (115, 0, 43)),
    ("lens injector handle", (0, 115, 86)),
    ("suture needle", (191, 255, 0)),
    ("needle holder", (0, 217, 81)),
    ("Charleux cannula", (135, 166, 83)),
    ("primary knife handle", (166, 0, 0)),
    ("vitrectomy handpiece", (0, 135, 217)),
    ("Mendez ring", (239, 128, 255)),
    ("marker", (145, 0, 166)),
    ("hydrodissection handle", (0, 72, 115)),
    ("Troutman forceps", (166, 145, 0)),
    ("cotton", (255, 223, 128)),
    ("iris hooks", (255, 128, 175)),
)
"""Name and colour of each id in the files."""


@dataclass(frozen=True)
class Setting:
    """One of the three ways in which CaDIS is scored.

    Attributes:
        table: its classes.
        values: class id, or the ignore index, of each of the 36 ids in the files, and of 255 (unlabelled).
    """

    table: ClassTable
    values: dict[int, int]


def _setting(name: str, *merged: tuple[str, tuple[int, ...]]) -> Setting:
    """Return the setting whose first seven classes are anatomy and surroundings, followed by these."""
    groups = (*((RAW[raw][0], (raw,)) for raw in range(7)), *merged)
    classes = tuple(
        SceneClass(class_id, title, RAW[members[0]][1]) for class_id, (title, members) in enumerate(groups)
    )
    table = ClassTable(name, classes)
    values = dict.fromkeys((*range(len(RAW)), 255), table.ignore_index)
    values |= {raw: class_id for class_id, (_, members) in enumerate(groups) for raw in members}
    return Setting(table, values)


SETTINGS: dict[str, Setting] = {
    "1": _setting("cadis setting 1", ("instrument", tuple(range(7, 36)))),
    "2": _setting(
        "cadis setting 2",
        ("cannula", (7, 8, 10, 20, 27, 32)),
        ("capsulorhexis cystotome", (9, 22)),
        ("tissue forceps", (11, 33)),
        ("primary knife", (12, 28)),
        ("phaco handpiece", (13, 21)),
        ("lens injector", (14, 24)),
        ("I/A handpiece", (15, 18)),
        ("secondary knife", (16, 23)),
        ("micromanipulator", (17,)),
        ("capsulorhexis forceps", (19,)),
    ),
    "3": _setting("cadis setting 3", *((RAW[raw][0], (raw,)) for raw in range(7, 25))),
}
"""8, 17 and 25 classes; GAUDA uses Setting 2. Ids that a setting leaves out are unlabelled."""
