"""What most commands begin with: open the data, split it, decode it once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from rarescene.foundation.console import progress, say_once
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.plugins import need_method
from rarescene.foundation.provenance import SPLIT_OPTIONS, Place, Provenance, Seen, is_phantom
from rarescene.foundation.run_record import RunRecord
from rarescene.scenes.cache import SceneCache
from rarescene.scenes.datasets.groups import unclear
from rarescene.scenes.datasets.open import brought_by, open_scenes
from rarescene.scenes.scene import SceneSet
from rarescene.scenes.split import Split, looks_at_classes, split_rules, split_scenes

_SQUASHED = 1.03  # a change of aspect that is told; less is the rounding of a size
PARTS = ("train", "validation", "test", "all")


@dataclass(frozen=True)
class Data:
    """A data set, opened and split.

    Attributes:
        spec: how it was named on the command line.
        scenes: all of it.
        split: indices of the training, validation and test scenes.
        options: how they were split, in the words of the command line; run records repeat them.
    """

    spec: str
    scenes: SceneSet
    split: Split
    options: Mapping[str, Any]

    def part(self, name: str) -> tuple[int, ...]:
        """Return the indices of "train", "validation", "test" or "all" scenes."""
        if name not in PARTS:
            raise ConfigError(f"there is no part {name!r} of a split", f"Choose one of {', '.join(PARTS)}.")
        return tuple(range(len(self.scenes))) if name == "all" else getattr(self.split, name)

    def places(self, indices: Iterable[int]) -> list[Place]:
        """Return recording and frame order of scenes, by which leaks are found."""
        records = self.scenes.records
        return [(records[index].group, records[index].order) for index in indices]

    def padded_as_in(self, run: RunRecord) -> Data:
        """Return the same data, padded as those of a run were: not at all, or to its aspect."""
        return replace(self, scenes=replace(self.scenes, pad=padding_of(run)))

    def provenance(self, part: str | None = "train") -> Provenance:
        """Return where something comes from that was made from this part; of None, nothing was seen.

        Raises:
            ConfigError: there is no such part.
        """
        scenes, name = self.scenes, self.scenes.name
        groups = {one: {group for group, _ in self.places(self.part(one))} for one in PARTS[:3]}
        return Provenance(
            spec=self.spec,
            name=name,
            scenes=len(scenes),
            split=self.split.how,
            options=self.options,
            recordings={one: tuple(sorted(names)) for one, names in groups.items()},
            licence=scenes.licence,
            phantom=is_phantom(name),
            grouping={name: self.options["group_by"]},
            seen=Seen() if part is None else self._seen(self.part(part)),
            package=brought_by(self.spec),
        )

    def _seen(self, used: Sequence[int]) -> Seen:
        if self.split.warning is None:
            return Seen.of(self.places(used))
        return Seen.of(self.places(used), self.places(set(range(len(self.scenes))).difference(used)))


def open_data(
    spec: str,
    split: str,
    split_seed: int,
    fractions: Sequence[float] | None = None,
    group_by: str | None = None,
) -> Data:
    """Open and split a data set, and say aloud what a split through recordings means.

    A split by recording looks at which classes each recording shows, so that as many as possible can be
    scored; for that the data are decoded once at thumbnail size.
    """
    scenes = open_scenes(spec, group_by=group_by)
    say_doubt(scenes)
    shares = None if fractions is None else (fractions[0], fractions[1], fractions[2])
    pixels = (
        decode(scenes, 64, 64, images=scenes.has_images).class_pixels if looks_at_classes(split) else None
    )
    divided = split_scenes(scenes, split, shares, split_seed, pixels)
    if divided.warning:
        say_once(f"note: {divided.warning}")
    if divided.note:
        say_once(f"note: {divided.note}")
    return Data(spec, scenes, divided, _options(split, shares, split_seed, group_by))


def say_squashed(scenes: SceneSet, height: int, width: int) -> None:
    """Say once, of the first frame, by how much a size squashes it, and what pads it instead."""
    if not len(scenes):
        return
    tall, wide = scenes.mask(0).shape
    kept = (width / height) / (wide / tall)  # of the width, beside the height
    if 1 / _SQUASHED < kept < _SQUASHED:
        return
    side, share = ("width", kept) if kept < 1 else ("height", 1 / kept)
    across, down = Fraction(width, height).as_integer_ratio()
    say_once(
        f"note: frames of {wide}×{tall} become {width}×{height}, which squashes their {side} to {share:.0%}; "
        f"--data NAME:PATH,pad={across}x{down} pads them instead"
    )


def padding_of(run: RunRecord) -> tuple[int, int] | None:
    """Return the aspect (width, height) to which the frames of a run's data were padded, or None."""
    across, down = run.config.get("pad") or (0, 0)
    return (across, down) if across else None


def say_doubt(scenes: SceneSet) -> None:
    """Say once why the recordings may be wrong, where they were guessed and the rule is not clear."""
    if scenes.doubt:
        say_once(f"note: {unclear(scenes.doubt)}")


def open_as_in(
    made: Provenance, spec: str | None = None, *, split: str | None = None, group_by: str | None = None
) -> Data:
    """Open data split as those of a run were, by default the very data of the run.

    What is given replaces what the run used; another split takes its own usual fractions.

    Raises:
        CheckpointError: the package that read the data of the run is not installed here.
    """
    rule, fractions, seed, pattern = (made.options[name] for name in SPLIT_OPTIONS)
    name, colon, _ = made.spec.partition(":")
    theirs = (spec or made.spec).startswith(f"{name}:") or (not split and rule not in split_rules())
    if made.package and colon and theirs:
        need_method("datasets", name, made.package)
    return open_data(
        spec or made.spec, split or rule, seed, None if split else fractions, group_by or pattern
    )


def open_unsplit(spec: str, group_by: str | None = None) -> Data:
    """Open a data set all of which is the test part, as a synthetic set is."""
    return unsplit(spec, open_scenes(spec, group_by=group_by), group_by)


def unsplit(spec: str, scenes: SceneSet, group_by: str | None = None) -> Data:
    """Return scenes that are not split, since all of them are used alike, as data whose part is "all"."""
    whole = Split((), (), tuple(range(len(scenes))), "none")
    return Data(spec, scenes, whole, _options(None, None, 0, group_by))


def _options(*values: Any) -> dict[str, Any]:
    return dict(zip(SPLIT_OPTIONS, values, strict=True))


def decode(scenes: SceneSet, height: int, width: int, *, images: bool = True) -> SceneCache:
    """Return the scenes at this size from the cache on disk, where they are decoded to once, with a bar.

    Raises:
        DataError: `images` are wanted and the data set has none; said before anything is decoded.
    """
    with progress("decoding") as advance:
        return SceneCache.build(scenes, height, width, images=images, progress=advance)
