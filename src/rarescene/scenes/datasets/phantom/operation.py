"""What one kind of phantom operation shows: its classes, how often, how large, and how they look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rarescene.scenes.class_table import ClassTable
from rarescene.scenes.datasets.phantom.canvas import Canvas
from rarescene.scenes.datasets.phantom.video import PhantomVideo

Light = tuple[float, float, float]
Draw = Callable[[int, int, int, Mapping[int, float], tuple[int, int]], Canvas]


@dataclass(frozen=True)
class Figures:
    """How often and how large a class is.

    Attributes:
        frames: share of all frames that show the class.
        area: mean share of the area of the frames that show it.
        videos: share of the videos that show it at all (raised where its frames would not fit).
        spread: standard deviation of the logarithm of the area between videos.
        bounds: smallest and largest area, as multiples of the mean.
        growth: area at the ends of an episode, first and last, as multiples of its middle.
    """

    frames: float
    area: float
    videos: float
    spread: float
    bounds: tuple[float, float]
    growth: tuple[float, float]


@dataclass(frozen=True)
class Look:
    """How the surface of a class looks.

    Attributes:
        colour: red, green and blue from 0 to 1.
        change: what the fine structure adds to it.
        vessels: how strongly vessels show.
        wet: how strongly it mirrors the lamp.
    """

    colour: Light
    change: Light
    vessels: float
    wet: float


@dataclass(frozen=True)
class Operation:
    """A kind of operation.

    Attributes:
        table: its classes; class 0 is what lies outside the field of view.
        episodic: what comes and goes, by name of a class or of an instrument in parts.
        whole_videos: what a video shows from beginning to end, or not at all: share of the videos, mean area.
        remainder: shares of what the others leave of the field.
        looks: by name of the class.
        video: a video of this operation, by seed and number.
        draw: lays out a frame: seed, number of the video, frame, planned areas by id, height and width.
        parts: instrument → class → share of the instrument's area.
    """

    table: ClassTable
    episodic: Mapping[str, Figures]
    whole_videos: Mapping[str, tuple[float, float]]
    remainder: Mapping[str, float]
    looks: Mapping[str, Look]
    video: Callable[[int, int], PhantomVideo]
    draw: Draw
    parts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
