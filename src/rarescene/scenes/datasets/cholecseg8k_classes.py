"""The class table of CholecSeg8k (laparoscopic cholecystectomy, 13 classes) and the codes of its files."""

from __future__ import annotations

from rarescene.scenes.class_table import ClassTable, SceneClass

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
