"""The classes of CaDISv2, CholecSeg8k and SISVSE.

CaDISv2 (cataract surgery) has 36 ids in its files, and three settings that merge them. Its colours and those
of SISVSE are ours: anatomy and surroundings in natural tones, instruments in vivid ones.
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


CHOLECSEG8K = ClassTable(
    "cholecseg8k",
    (
        SceneClass(0, "black background", (127, 127, 127)),
        SceneClass(1, "abdominal wall", (210, 140, 140)),
        SceneClass(2, "liver", (255, 114, 114)),
        SceneClass(3, "gastrointestinal tract", (231, 70, 156)),
        SceneClass(4, "fat", (186, 183, 75)),
        SceneClass(5, "grasper", (170, 255, 0)),
        SceneClass(6, "connective tissue", (255, 85, 0)),
        SceneClass(7, "blood", (255, 0, 0)),
        SceneClass(8, "cystic duct", (255, 255, 0)),
        SceneClass(9, "L-hook electrocautery", (169, 255, 184)),
        SceneClass(10, "gallbladder", (255, 160, 165)),
        SceneClass(11, "hepatic vein", (0, 50, 128)),
        SceneClass(12, "liver ligament", (111, 74, 0)),
    ),
)


WATERSHED_CODES: tuple[int, ...] = (50, 11, 21, 13, 12, 31, 23, 24, 25, 32, 22, 33, 5)
"""Gray value of each class in `*_watershed_mask.png`, by id; 255 (border) and 0 (stray) are unlabelled."""


SISVSE = ClassTable(
    "sisvse",
    (
        SceneClass(0, "background", (127, 127, 127)),
        SceneClass(1, "HarmonicAce head", (0, 255, 255)),
        SceneClass(2, "HarmonicAce body", (0, 110, 120)),
        SceneClass(3, "MarylandBipolar head", (90, 150, 255)),
        SceneClass(4, "MarylandBipolar wrist", (0, 70, 255)),
        SceneClass(5, "MarylandBipolar body", (0, 20, 130)),
        SceneClass(6, "Cadiere head", (120, 255, 120)),
        SceneClass(7, "Cadiere wrist", (0, 200, 0)),
        SceneClass(8, "Cadiere body", (0, 95, 0)),
        SceneClass(9, "curved atraumatic grasper head", (200, 255, 0)),
        SceneClass(10, "curved atraumatic grasper body", (95, 120, 0)),
        SceneClass(11, "stapler head", (255, 130, 255)),
        SceneClass(12, "stapler body", (140, 0, 140)),
        SceneClass(13, "medium-large clip applier head", (185, 120, 255)),
        SceneClass(14, "medium-large clip applier wrist", (130, 30, 255)),
        SceneClass(15, "medium-large clip applier body", (60, 0, 120)),
        SceneClass(16, "small clip applier head", (0, 255, 190)),
        SceneClass(17, "small clip applier wrist", (0, 180, 130)),
        SceneClass(18, "small clip applier body", (0, 75, 60)),
        SceneClass(19, "suction irrigation", (255, 230, 0)),
        SceneClass(20, "needle", (255, 255, 170)),
        SceneClass(21, "endotip", (255, 120, 0)),
        SceneClass(22, "specimen bag", (215, 235, 245)),
        SceneClass(23, "drain tube", (255, 195, 120)),
        SceneClass(24, "liver", (150, 40, 30)),
        SceneClass(25, "stomach", (255, 150, 150)),
        SceneClass(26, "pancreas", (215, 165, 60)),
        SceneClass(27, "spleen", (110, 20, 70)),
        SceneClass(28, "gallbladder", (95, 135, 85)),
        SceneClass(29, "gauze", (250, 215, 215)),
        SceneClass(30, "other instruments", (60, 60, 70)),
        SceneClass(31, "other tissues", (220, 90, 80)),
    ),
)
