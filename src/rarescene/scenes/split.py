"""Which scenes train, which choose, which test. The unit is the recording: near frames are near-copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import bounded, parse_json, read_text
from rarescene.foundation.plugins import methods
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes.scene import Recorded, SceneRecord

Fractions = tuple[float, float, float]
Parts = tuple[list[int], list[int], list[int]]
Divide = Callable[[Sequence[SceneRecord], Fractions, int, "np.ndarray | None"], Parts]

PARTS = ("train", "validation", "test")

_DRAWS = 64  # seeded draws among which a split by recording chooses

LEAK_WARNING = (
    "This split cuts through recordings: frames that are near-copies of training frames are tested on, "
    "so its figures are too good and show nothing about generalising to a new patient."
)
TIME_WARNING = (
    "This split cuts every recording in time: training and test show the same patient, camera and light, "
    "so it shows that the software works and nothing about generalising."
)


@dataclass(frozen=True)
class SplitRule:
    """A word of `--split`: one of the house's, or one that a data set brings.

    Attributes:
        divide: gives the indices of the training, validation and test scenes, from all records, the shares of
            the three parts, a seed, and the pixels of each class in each scene where they are known.
        fractions: the shares, unless others are given.
        looks_at_classes: whether it draws whole recordings, and draws better with the pixels of the classes.
        warning: what a reader of the figures must be told. `LEAK_WARNING` where the rule has none and yet
            cuts through a recording.
        note: what else a user should know.
    """

    divide: Divide
    fractions: Fractions = (0.7, 0.1, 0.2)
    looks_at_classes: bool = False
    warning: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Split:
    """Indices of the scenes of each part, and how they were chosen.

    Attributes:
        train: indices into the scenes that were split, ascending; likewise `validation` and `test`.
        how: the rule, in the words of `--split`.
        warning: what a reader of the figures must be told, or None for a split by recording.
        recordings: the recordings in each part.
        note: what else a user should know of this rule.
    """

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    how: str
    warning: str | None = None
    recordings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the split as JSON values, for the run folder."""
        return {
            "how": self.how,
            "warning": self.warning,
            "note": self.note,
            "recordings": {part: list(names) for part, names in self.recordings.items()},
            "train": list(self.train),
            "validation": list(self.validation),
            "test": list(self.test),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Split:
        """Return the split that `to_dict` wrote."""
        recordings = {part: tuple(names) for part, names in value["recordings"].items()}
        train, validation, test = (tuple(value[part]) for part in PARTS)
        return cls(train, validation, test, value["how"], value["warning"], recordings, value.get("note"))


def split_rules() -> Mapping[str, SplitRule]:
    """Return the words of `--split`: the house's, then those of data sets; who has one first keeps it."""
    rules = dict(_RULES)
    for method in methods("datasets").values():
        for name, rule in method.splits.items():
            rules.setdefault(name, rule)
    return rules


def looks_at_classes(how: str | Path) -> bool:
    """Return whether a rule draws whole recordings, and draws better with `class_pixels`."""
    rule = split_rules().get(str(how))
    return rule is not None and rule.looks_at_classes


def split_scenes(
    scenes: Recorded,
    how: str | Path = "recording",
    fractions: Fractions | None = None,
    seed: int = 0,
    class_pixels: np.ndarray | None = None,
) -> Split:
    """Split scenes into training, validation and test.

    | `how` | rule | fractions unless given |
    | --- | --- | --- |
    | `recording` | whole recordings, drawn by seed | 0.7, 0.1, 0.2 |
    | `gauda` | the same, in the shares of the GAUDA paper | 0.9, 0.05, 0.05 |
    | `time` | the first part of each recording trains, the last one tests; with a warning | 2/3, 0, 1/3 |
    | `casdm` | single frames at random, as 85:15 images in the CASDM paper; with a warning | 0.85, 0, 0.15 |
    | a word that a data set brings | its official split, such as `cholecseg8k`, `cadis` or `fold1` | |
    | a file | YAML or JSON with lists of recordings `train`, `validation`, `test` | |

    A split by recording takes the best of 64 seeded draws: the one where most classes occur in every part (if
    `class_pixels` is given), then the one whose shares of frames are nearest to `fractions`.

    Args:
        scenes: a `SceneSet` or `SceneCache`.
        how: the rule.
        fractions: shares of training, validation and test; they add up to 1, and a share may be 0.
        seed: of the draw.
        class_pixels: `(N, C)`, pixels of each class in each scene (`SceneCache.class_pixels`).

    Raises:
        ConfigError: there are too few recordings, the fractions are none, or the file does not fit.
    """
    records = scenes.records
    name = str(how)
    rule = split_rules().get(name)
    if rule is None:
        return _from_file(records, Path(how))
    shares = rule.fractions if fractions is None else fractions
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6 or shares[0] == 0:
        remedy = "Give three numbers that add up to 1, for instance [0.7, 0.1, 0.2]."
        raise ConfigError(f"the fractions {shares} are no split", remedy)
    parts = rule.divide(records, shares, seed, class_pixels)
    return _described(records, parts, name, rule.warning, rule.note)


def draw_recordings(
    records: Sequence[SceneRecord], shares: Fractions, seed: int, class_pixels: np.ndarray | None = None
) -> Parts:
    """Deal whole recordings to the three parts, see `split_scenes`.

    Raises:
        ConfigError: there are fewer recordings than parts.
    """
    frames = Counter(record.group for record in records)
    groups = sorted(frames)
    needed = sum(share > 0 for share in shares)
    if len(groups) < needed:
        found = "a single recording" if len(groups) == 1 else f"{len(groups)} recordings"
        remedy = (
            "Use `--split time` (the first part of each recording trains, the last one tests; it shows "
            "nothing about generalising), or tell recordings apart with `--group-by REGEX`."
        )
        raise ConfigError(f"{found} cannot be split by recording into {needed} parts", remedy)
    sizes = _sizes(len(groups), shares)
    of_group: dict[str, list[int]] = {group: [] for group in groups}
    for index, record in enumerate(records):
        of_group[record.group].append(index)
    present = None
    if class_pixels is not None:
        present = {group: (class_pixels[indices] > 0).any(axis=0) for group, indices in of_group.items()}

    def drawn(draw: int) -> list[list[str]]:
        order = list(np.random.default_rng(derive_seed(seed, "split", draw)).permutation(groups))
        return [order[: sizes[0]], order[sizes[0] : sizes[0] + sizes[1]], order[sizes[0] + sizes[1] :]]

    def worth(parts: list[list[str]]) -> tuple[int, float]:
        off = sum(
            abs(sum(frames[g] for g in part) / len(records) - s)
            for part, s in zip(parts, shares, strict=True)
        )
        if present is None:
            return 0, -off
        covered = [np.any([present[g] for g in part], axis=0) for part in parts if part]
        return int(np.all(covered, axis=0).sum()), -off

    best = max(map(drawn, range(_DRAWS)), key=worth)
    train, validation, test = (sorted(index for group in part for index in of_group[group]) for part in best)
    return train, validation, test


def _sizes(count: int, shares: Fractions) -> list[int]:
    """Return how many recordings each part gets: the rounded share, at least one where the share is not 0."""
    validation, test = (max(1, round(count * share)) if share else 0 for share in shares[1:])
    while count - validation - test < 1:
        validation, test = (validation - 1, test) if validation > test else (validation, test - 1)
    return [count - validation - test, validation, test]


def _in_time(
    records: Sequence[SceneRecord], shares: Fractions, seed: int, class_pixels: np.ndarray | None
) -> Parts:
    parts: Parts = ([], [], [])
    for group in sorted({record.group for record in records}):
        members = [index for index, record in enumerate(records) if record.group == group]
        members.sort(key=lambda index: records[index].order)
        first, second = round(shares[0] * len(members)), round((shares[0] + shares[1]) * len(members))
        for part, indices in zip(
            parts, (members[:first], members[first:second], members[second:]), strict=True
        ):
            part += indices
    return parts


def _by_frame(
    records: Sequence[SceneRecord], shares: Fractions, seed: int, class_pixels: np.ndarray | None
) -> Parts:
    order = np.random.default_rng(derive_seed(seed, "split")).permutation(len(records)).tolist()
    first, second = round(shares[0] * len(order)), round((shares[0] + shares[1]) * len(order))
    return order[:first], order[first:second], order[second:]


def named_recordings(title: str, validation: Sequence[str], test: Sequence[str]) -> SplitRule:
    """Return the rule by which these recordings choose and test, and all others train.

    `title` is what messages call the data set, all of whose named recordings must be there.
    """

    def divide(
        records: Sequence[SceneRecord], shares: Fractions, seed: int, class_pixels: np.ndarray | None
    ) -> Parts:
        held = {*validation, *test}
        groups = {record.group for record in records}
        if not held < groups:
            missing = ", ".join(sorted(held - groups)) or "any other recording"
            remedy = f"Use `--split recording`; this split is for the whole of {title}."
            raise ConfigError(f"the {title} split needs {missing}, not found", remedy)
        return _by_names(records, groups - held, validation, test)

    return SplitRule(divide)


_RULES: Mapping[str, SplitRule] = {
    "recording": SplitRule(draw_recordings, looks_at_classes=True),
    "gauda": SplitRule(draw_recordings, (0.9, 0.05, 0.05), looks_at_classes=True),
    "time": SplitRule(_in_time, (2 / 3, 0.0, 1 / 3), warning=TIME_WARNING),
    "casdm": SplitRule(_by_frame, (0.85, 0.0, 0.15), warning=LEAK_WARNING),
}


def _from_file(records: Sequence[SceneRecord], path: Path) -> Split:
    known = (
        f"Known rules: {', '.join(split_rules())}; or a YAML or JSON file with train, validation and test."
    )
    try:
        text = read_text(path)
        content = (
            parse_json(text) if path.suffix.lower() == ".json" else bounded(yaml.safe_load(text), most=10_000)
        )
    except OSError as error:
        raise ConfigError(f"is no rule of splitting and no file ({error.strerror})", known, path) from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot be understood ({error})", known, path) from error
    if (
        not isinstance(content, dict)
        or not content
        or not set(content) <= set(PARTS)
        or "train" not in content
        or not all(isinstance(names, list | None) for names in content.values())
    ):
        raise ConfigError("must hold lists of recordings called train, validation and test", known, path)
    names = {part: [str(name) for name in content.get(part) or ()] for part in PARTS}
    counts = Counter(name for part in names.values() for name in part)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise ConfigError(f"names {', '.join(twice)} twice", "A recording belongs to one part alone.", path)
    groups = {record.group for record in records}
    unknown = sorted(set(counts) - groups)
    if unknown:
        remedy = f"The recordings are: {', '.join(sorted(groups))}."
        raise ConfigError(f"names recordings that the data do not have: {', '.join(unknown)}", remedy, path)
    return _described(records, _by_names(records, *(names[part] for part in PARTS)), path.name, None)


def _by_names(records: Sequence[SceneRecord], *names: Iterable[str]) -> Parts:
    train, validation, test = (set(part) for part in names)
    parts: Parts = ([], [], [])
    for index, record in enumerate(records):
        for part, wanted in zip(parts, (train, validation, test), strict=True):
            if record.group in wanted:
                part.append(index)
    return parts


def _described(
    records: Sequence[SceneRecord], parts: Parts, how: str, warning: str | None, note: str | None = None
) -> Split:
    train, validation, test = (tuple(sorted(part)) for part in parts)
    if not train:
        raise ConfigError("no scene is left for training", "Give training a larger share.")
    recordings = {
        name: tuple(sorted({records[index].group for index in part}))
        for name, part in zip(PARTS, (train, validation, test), strict=True)
    }
    counts = Counter(group for groups in recordings.values() for group in groups)
    if warning is None and max(counts.values()) > 1:
        warning = LEAK_WARNING
    return Split(train, validation, test, how, warning, recordings, note)
