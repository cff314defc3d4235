"""The class table of SISVSE (robotic gastrectomy, 32 classes).

Instruments come in parts: head, wrist and body. Colours are ours: a hue for each instrument, from a bright
head to a dark body; organs in natural tones.
"""

from __future__ import annotations

from rarescene.scenes.class_table import ClassTable, SceneClass

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
