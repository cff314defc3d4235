"""Where a rare class may stand: a region of one training scene, put into another scene.

What is learned from training masks decides where (`Habits`): what the class touches, where in the frame it
lies, and how large it is. `Composer` puts a region into a mask by rejection: a place, a size and a mirror
image are sampled as training masks show them, and the first one whose neighbours are as likely as those of
real regions is taken. Instruments and the border of the field stay on top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from PIL import Image
from scipy import ndimage

from rarescene.foundation.configs import Count, Range, Settings, Share
from rarescene.foundation.errors import ConfigError, DataError
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import ClassTable, SceneCache
from rarescene.scenes.request import SPECK, TOUCHING
from rarescene.scenes.statistics import rare_ids

RING = 2
"""Pixels around a region that count as what it touches."""

KNOWN = 0.5
"""The least share of those, but for what lies on top, that is labelled; the others say nothing of a place."""

NAMING = "--classes (in a training --compose or --paste.classes)"
"""The options that name the classes."""

ON_TOP = (
    "black background", "border", "specular", "instrument", "grasper", "forceps", "hook", "cautery",
    "bipolar", "scissors", "clipper", "applier", "stapler", "suction", "needle", "trocar", "endotip", "knife",
    "cannula", "cystotome", "handpiece", "handle", "injector", "manipulator", "retractor", "harmonic",
    "cadiere", "gauze",
)  # fmt: skip
"""Words in the names of classes that lie above tissue, or are the border of the field."""


@dataclass(frozen=True)
class CompositionConfig(Settings, section="composition"):
    """How a region is put into another scene.

    Attributes:
        on_top: comma-separated classes that a region never covers, since they lie above it; by default those
            whose names speak of instruments or of a border.
        scale: a region is made up to so many times larger or smaller, within what training masks show.
        mirror: chance of its mirror image.
        shift: how far from a place where training masks show the class it may lie, as a standard deviation
            in shares of the frame.
        plausible: the share of real regions whose neighbours may be less likely than those of a new one.
        visible: the least share of a region that neither the frame cuts off nor anything on top hides.
        places: places that are tried in a scene before another scene is taken.
    """

    on_top: str = ""
    scale: Annotated[float, Range(1, 4)] = 1.25
    mirror: Share = 0.5
    shift: Share = 0.05
    plausible: Share = 0.1
    visible: Share = 0.6
    places: Count = 32


@dataclass(frozen=True)
class Region:
    """A piece of a class in a training scene, or all pieces of it there.

    Attributes:
        scene: index of the training scene.
        class_id: its class.
        top: first row of the box that holds it.
        left: first column.
        pixels: bool `(h, w)`, which pixels of the box are its own.
    """

    scene: int
    class_id: int
    top: int
    left: int
    pixels: np.ndarray

    @property
    def area(self) -> int:
        """In pixels."""
        return int(self.pixels.sum())

    @property
    def centre(self) -> tuple[float, float]:
        """Row and column of the middle of its box, in pixels."""
        return self.top + self.pixels.shape[0] / 2, self.left + self.pixels.shape[1] / 2

    def frame(self, height: int, width: int) -> np.ndarray:
        """Return it where it lies, bool `(H, W)`."""
        whole = np.zeros((height, width), bool)
        rows, columns = self.pixels.shape
        whole[self.top : self.top + rows, self.left : self.left + columns] = self.pixels
        return whole


@dataclass(frozen=True)
class Placement:
    """A region in the scene that it was put into.

    Attributes:
        source: the region as it was.
        height: of its box there, in pixels.
        width: likewise.
        top: first row of the box, which may lie outside of the frame.
        left: first column, likewise.
        mirrored: whether it is its mirror image.
        region: bool `(H, W)`, the pixels of the scene that are its own now.
        likelihood: mean logarithm of the probability of what it touches.
    """

    source: Region
    height: int
    width: int
    top: int
    left: int
    mirrored: bool
    region: np.ndarray
    likelihood: float

    def composed(self, mask: np.ndarray) -> np.ndarray:
        """Return a scene's mask uint8 `(H, W)` with the region in it."""
        return np.where(self.region, np.uint8(self.source.class_id), mask)

    def pasted(self, image: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Return a scene's image uint8 `(H, W, 3)` with the region's own pixels in it.

        Args:
            image: of the scene.
            source: of the scene that the region is from, of any size.
        """
        rows, columns = self.source.pixels.shape
        top, left = self.source.top, self.source.left
        patch = source[top : top + rows, left : left + columns]
        patch = patch[:, ::-1] if self.mirrored else patch
        resized = Image.fromarray(patch).resize((self.width, self.height), Image.Resampling.BILINEAR)
        frame, (inside, within) = image.copy(), self._overlap(image.shape[:2])
        frame[inside] = np.where(self.region[inside][..., None], np.asarray(resized)[within], frame[inside])
        return frame

    def _overlap(self, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return where box and frame overlap: in the frame, and in the box."""
        return _overlap((self.top, self.left), (self.height, self.width), shape)

    def to_dict(self) -> dict[str, Any]:
        """Return what a manifest says of it, as JSON values, with the centre in shares of the frame."""
        rows, columns = self.region.shape
        return {
            "height": self.height, "width": self.width, "mirrored": self.mirrored,
            "row": round((self.top + self.height / 2) / rows, 4),
            "column": round((self.left + self.width / 2) / columns, 4),
            "pixels": int(self.region.sum()), "likelihood": round(self.likelihood, 4),
        }  # fmt: skip


@dataclass(frozen=True)
class Habits:
    """What training masks say of a class.

    Attributes:
        regions: its pieces, and all of them together where a scene has several.
        touches: float `(C,)`, log-probability that a pixel beside it is of each class; what lies on top does
            not count.
        areas: the areas, in shares of the frame, between which nine tenths of its regions lie.
        centres: `(N, 2)`, row and column of the middle of each region, in shares of the frame.
        least: the likelihood that what a region touches must reach.
    """

    regions: tuple[Region, ...]
    touches: np.ndarray
    areas: tuple[float, float]
    centres: np.ndarray
    least: float


class Composer:
    """Puts regions of rare classes into other scenes.

    Args:
        scenes: the training scenes, with their images if pixels are to be pasted; those of validation and
            test must not be among them.
        classes: ids of the classes whose regions are put into others; by default those that are rare in the
            training scenes.
        config: how.
        into: the scenes that regions are put into, of that size and those classes; by default the same ones.

    Attributes:
        habits: of each of the classes.
        on_top: ids of the classes that are never covered.

    Raises:
        ConfigError: no class is given and none is rare, or one is always on top.
        DataError: no training scene shows a class.
    """

    def __init__(
        self,
        scenes: SceneCache,
        classes: Sequence[int] = (),
        config: CompositionConfig = CompositionConfig(),
        into: SceneCache | None = None,
    ) -> None:
        self.scenes, self.config, self.table = scenes, config, scenes.classes
        self.into = scenes if into is None else into
        self.on_top = classes_on_top(scenes.classes, config.on_top)
        chosen = tuple(classes) or rare_ids(scenes, NAMING)
        if above := [self.table.names[one] for one in chosen if one in self.on_top]:
            what = f"{', '.join(above)} is to be put into scenes, and lies on top of everything"
            raise ConfigError(what, "Name in --composition.on_top what else a region must not cover.")
        found = _regions(scenes, chosen)
        self.habits: Mapping[int, Habits] = {
            class_id: self._habits(class_id, found[class_id]) for class_id in chosen
        }

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes whose regions it puts into scenes."""
        return tuple(self.habits)

    def made_by(self) -> dict[str, Any]:
        """Return what a set's header says of how its masks were composed."""
        return {
            "composition": asdict(self.config), "decoded": self.scenes.digest,
            "classes": self.table.listed(self.table.names[one] for one in self.classes),
            "on_top": self.table.listed(self.table.names[one] for one in self.on_top),
            **({} if self.into is self.scenes else {"decoded_into": self.into.digest}),
        }  # fmt: skip

    def place(
        self, mask: np.ndarray, class_id: int, seed: int, *, avoid: str | None = None
    ) -> Placement | None:
        """Put a region of a class into a scene where training masks say that it may be.

        Args:
            mask: uint8 `(H, W)` of the scene.
            class_id: the class.
            seed: of the region, its place, its size and its mirror image.
            avoid: a recording whose regions are not taken, as a rule that of the scene.

        Returns:
            The region in its place; None where `config.places` places in a row were implausible.
        """
        habits, random = self.habits[class_id], np.random.default_rng(derive_seed(seed, "place"))
        of = self.scenes.recordings
        regions = [one for one in habits.regions if avoid is None or of[one.scene] != avoid]
        if not regions:
            return None
        covered = self._covered(mask)
        for _ in range(self.config.places):
            region = regions[random.integers(len(regions))]
            found = self._try(region, habits, mask, covered, random)
            if found is not None and found.likelihood >= habits.least:
                return found
        return None

    def _try(
        self,
        region: Region,
        habits: Habits,
        mask: np.ndarray,
        covered: np.ndarray,
        random: np.random.Generator,
    ) -> Placement | None:
        """Sample one place; None where too little of the region would be seen, or too little is known."""
        frame = np.array(mask.shape)
        share = region.area / mask.size
        # within the sizes that training masks show, but for a region that is itself smaller or larger
        low, high = np.sqrt(np.array(habits.areas) / share)
        stretch = np.log(self.config.scale)
        factor = np.exp(random.uniform(-stretch, stretch))
        factor = float(np.clip(factor, min(low, 1), max(high, 1)))
        mirrored = bool(random.random() < self.config.mirror)
        centre = habits.centres[random.integers(len(habits.centres))]
        centre = (centre + random.normal(0, self.config.shift, 2)) * frame
        height, width = (max(1, round(factor * side)) for side in region.pixels.shape)
        top, left = round(centre[0] - height / 2), round(centre[1] - width / 2)

        pixels = region.pixels[:, ::-1] if mirrored else region.pixels
        rows, columns = (
            np.minimum((np.arange(new) + 0.5) * old / new, old - 1).astype(int)
            for new, old in zip((height, width), pixels.shape, strict=True)
        )
        pixels = pixels[rows][:, columns]
        inside, within = _overlap((top, left), (height, width), mask.shape)
        placed = np.zeros(mask.shape, bool)
        placed[inside] = pixels[within] & ~covered[inside] & (mask[inside] != region.class_id)
        seen = int(placed[inside].sum())
        if seen < max(
            1, self.config.visible * pixels.sum(), min(habits.areas[0] * mask.size, region.area) / 2
        ):
            return None
        on_top = covered & (mask != self.table.ignore_index)
        ring = _ring(placed, inside, mask, region.class_id, on_top)
        beside = ring[ring != self.table.ignore_index]
        if len(beside) < KNOWN * len(ring):
            return None
        likelihood = _likelihood(beside, mask[placed], habits.touches)
        return Placement(region, height, width, top, left, mirrored, placed, likelihood)

    def _covered(self, mask: np.ndarray) -> np.ndarray:
        """Return where nothing can be put, bool `(H, W)`: below what is on top, or unlabelled."""
        return np.isin(mask, (*self.on_top, self.table.ignore_index))

    def _habits(self, class_id: int, regions: Sequence[Region]) -> Habits:
        if not regions:
            name = self.table.names[class_id]
            remedy = "`rarescene stats` lists which recordings show a class; leave out what none shows."
            raise DataError(f"no training scene shows {name}", remedy)
        height, width = self.scenes.size
        counts = np.zeros(len(self.table))
        rings = []
        for region in regions:
            mask = self.scenes.take_masks([region.scene])[0]
            ring = _ring(region.frame(height, width), _box(region), mask, class_id, self._covered(mask))
            counts += np.bincount(ring, minlength=len(self.table))[: len(self.table)]
            rings.append(ring)
        # one pixel of every class more than was seen, so that nothing is impossible
        touches = np.log((counts + 1) / (counts.sum() + len(counts)))
        known = [float(touches[ring].mean()) for ring in rings if len(ring)]
        low, high = np.quantile([region.area for region in regions], (0.05, 0.95)) / (height * width)
        return Habits(
            tuple(regions),
            touches,
            (float(low), float(high)),
            np.array([region.centre for region in regions]) / (height, width),
            float(np.quantile(known, self.config.plausible)) if known else float(touches.min()),
        )


def classes_on_top(table: ClassTable, named: str = "") -> tuple[int, ...]:
    """Return the classes that a region never covers: those named, or else those whose names say so.

    Raises:
        ConfigError: a name is unknown.
    """
    if named:
        return tuple(table.ids_in(named))
    return tuple(
        class_id
        for class_id, name in enumerate(table.names)
        if any(word in name.casefold() for word in ON_TOP)
    )


def _regions(scenes: SceneCache, classes: Sequence[int]) -> dict[int, list[Region]]:
    """Return the regions of each class: every piece that is no speck, and all of them as one."""
    height, width = scenes.size
    found: dict[int, list[Region]] = {class_id: [] for class_id in classes}
    for class_id in classes:
        for scene in np.flatnonzero(scenes.class_pixels[:, class_id]).tolist():
            whole = scenes.take_masks([scene])[0] == class_id
            labels, count = ndimage.label(whole, TOUCHING)
            areas = np.bincount(labels.ravel())[1:]
            least = min(SPECK * height * width, areas.max())
            pieces = [labels == label for label in range(1, count + 1) if areas[label - 1] >= least]
            for piece in [*pieces, whole] if len(pieces) > 1 else pieces:
                box = ndimage.find_objects(piece.astype(np.int8))[0]
                found[class_id].append(Region(scene, class_id, box[0].start, box[1].start, piece[box].copy()))
    return found


def _box(region: Region) -> tuple[slice, slice]:
    rows, columns = region.pixels.shape
    return slice(region.top, region.top + rows), slice(region.left, region.left + columns)


def _overlap(
    corner: tuple[int, int], size: tuple[int, int], shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where a box and a frame overlap: slices of the frame, and of the box."""
    inside, within = [], []
    for start, length, side in zip(corner, size, shape, strict=True):
        first, last = min(max(start, 0), side), max(min(start + length, side), 0)
        inside.append(slice(first, max(first, last)))
        within.append(slice(first - start, max(first, last) - start))
    return (inside[0], inside[1]), (within[0], within[1])


def _ring(
    region: np.ndarray, box: tuple[slice, slice], mask: np.ndarray, class_id: int, covered: np.ndarray
) -> np.ndarray:
    """Return the class ids of the pixels around a region that are neither its class nor on top, `(N,)`."""
    around = tuple(slice(max(0, side.start - RING), side.stop + RING) for side in box)
    near = ndimage.binary_dilation(region[around], TOUCHING, iterations=RING) & ~region[around]
    return mask[around][near & ~covered[around] & (mask[around] != class_id)]


def _likelihood(beside: np.ndarray, below: np.ndarray, touches: np.ndarray) -> float:
    """Return the mean log-probability of what a region touches and of what it covers, whichever is less.

    What is covered counts like what is touched: blood may lie where blood is seen to border.
    """
    parts = [float(touches[ids].mean()) for ids in (beside, below) if len(ids)]
    return min(parts, default=float(touches.min()))
