"""What a synthetic scene must show: per class, how many, where, and how large.

One language for both papers: its words prompt the map generator, its multi-hot vector conditions the joint
generator, and it is the yardstick that a generated mask is checked against.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from numbers import Integral
from typing import Any

import numpy as np
from scipy import ndimage

from rarescene.foundation.errors import ConfigError
from rarescene.scenes.class_table import QUOTED, ClassTable, quoted

PLACES = (
    "upper left",
    "upper centre",
    "upper right",
    "centre left",
    "centre",
    "centre right",
    "lower left",
    "lower centre",
    "lower right",
)
"""The nine places of a frame, row by row: its thirds in both directions."""

SPECK = 0.0005
"""A piece below this share of the frame is a speck and not counted, unless it is its class's largest."""

_AGAIN = "Write the set again that it lies in."

TOUCHING = np.ones((3, 3), np.int8)
"""Pixels that touch, at a corner too, belong to one piece."""

_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_AT = rf"(?: in the (?P<place>{'|'.join(sorted(PLACES, key=len))}))?"
_PHRASE = re.compile(rf"(?P<what>.+?){_AT}")
_QUOTED = re.compile(rf'(?:(?P<number>[^\s"]+) )?(?P<name>{QUOTED}){_AT}(?: ?:(?P<wishes>.*))?')


@dataclass(frozen=True)
class ClassRequest:
    """What is asked of one class.

    Attributes:
        class_id: the class.
        count: how many connected pieces, 1 or more; None where it does not matter.
        place: one of `PLACES`, where the centre of all its pixels lies; None where it does not matter.
        share: its share of the frame's area, from 0 to 1; None where it does not matter.
    """

    class_id: int
    count: int | None = None
    place: str | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.class_id, Integral) or not 0 <= self.class_id < 255:
            raise ConfigError(f"a request asks for the class {self.class_id!r}", _AGAIN)
        if self.count is not None and self.count < 1:
            raise ConfigError(f"a request asks for {self.count} pieces of a class", "Ask for one or more.")
        if self.place is not None and self.place not in PLACES:
            raise ConfigError(f"{self.place!r} is no place", f"The places are: {', '.join(PLACES)}.")
        if self.share is not None and not 0 <= self.share <= 1:
            raise ConfigError(f"a request asks for {self.share} of the frame", "Ask for a share from 0 to 1.")

    def to_words(self, table: ClassTable) -> str:
        """Return the prompt of this class, for instance "two graspers in the upper right".

        A name that could be taken for something else stands in quotation marks.
        """
        name, marked = _said(self.class_id, table)
        several = self.count is not None and self.count != 1 and not marked
        what = plural(name) if several else name
        number = "" if self.count is None else f"{_number(self.count)} "
        return f"{number}{what}" + (f" in the {self.place}" if self.place else "")


@dataclass(frozen=True)
class ClassKept:
    """Whether a mask shows one requested class, in the number and at the place asked (None: not asked)."""

    class_id: int
    present: bool
    quantity: bool | None
    place: bool | None


@dataclass(frozen=True)
class KeptReport:
    """How well a mask keeps a request, class by class."""

    classes: tuple[ClassKept, ...]

    @property
    def present(self) -> float:
        """The share of the requested classes that the mask shows; 1 where nothing was asked."""
        return _mean(entry.present for entry in self.classes)

    @property
    def quantity(self) -> float:
        """The share of the classes with a number asked for that have as many pieces."""
        return _mean(entry.quantity for entry in self.classes if entry.quantity is not None)

    @property
    def place(self) -> float:
        """The share of the classes with a place asked for that lie there."""
        return _mean(entry.place for entry in self.classes if entry.place is not None)

    @property
    def kept(self) -> bool:
        """Whether all is as it was asked."""
        return self.present == 1 and self.quantity == 1 and self.place == 1

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values, for a manifest."""
        shares = {"present": self.present, "quantity": self.quantity, "place": self.place, "kept": self.kept}
        return shares | {"classes": [asdict(entry) for entry in self.classes]}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> KeptReport:
        """Return the report that `to_dict` wrote."""
        try:
            return cls(tuple(ClassKept(**entry) for entry in value["classes"]))
        except (KeyError, TypeError) as error:
            raise ConfigError(f"a report of a request is damaged ({error!r})", _AGAIN) from error


@dataclass(frozen=True)
class Request:
    """What a scene must show; each class at most once, by id."""

    classes: tuple[ClassRequest, ...]

    def __post_init__(self) -> None:
        ids = [entry.class_id for entry in self.classes]
        if len(set(ids)) < len(ids):
            raise ConfigError(
                "a request names a class twice", "Name each class once, with a number of pieces."
            )
        object.__setattr__(self, "classes", tuple(sorted(self.classes, key=lambda entry: entry.class_id)))

    @property
    def ids(self) -> tuple[int, ...]:
        """The requested class ids, ascending."""
        return tuple(entry.class_id for entry in self.classes)

    @classmethod
    def from_mask(cls, mask: np.ndarray, table: ClassTable, speck: float = SPECK) -> Request:
        """Return the request that a mask uint8 `(H, W)` keeps: each class it shows, number, place, share.

        Pieces are connected over edges and corners. Those smaller than `speck` of the frame are passed over,
        except the largest of a class, so that a tiny class is asked for as well. Derive it after
        augmentation: a flip exchanges left and right.
        """
        boxes = ndimage.find_objects(mask.astype(np.int32) + 1, len(table))
        return cls(
            tuple(_seen(mask, class_id, box, speck) for class_id, box in enumerate(boxes) if box is not None)
        )

    def to_words(self, table: ClassTable) -> list[str]:
        """Return one prompt a class, in the order of `classes`."""
        return [entry.to_words(table) for entry in self.classes]

    def to_text(self, table: ClassTable) -> str:
        """Return the request as `parse` reads it: "cystic duct: one, centre, 1.2 %; grasper: two"."""
        return "; ".join(_line(entry, table) for entry in self.classes)

    @classmethod
    def parse(cls, text: str, table: ClassTable) -> Request:
        """Return the request written in words; classes are separated by `;` or by line breaks.

        A class is written as a list, "cystic duct: one, centre, 1.2 %" with number, place and share in any
        order and each optional, or as a prompt, "two graspers in the upper right", or by its name alone. A
        name with a colon or a semicolon in it stands in quotation marks.

        Raises:
            ConfigError: a class, a number or a place is not known, or a quotation mark has no other.
        """
        if text.count('"') % 2:
            raise ConfigError(f"a quotation mark is missing in {text!r}", 'Write names as "organ: left".')
        parts = [" ".join(part.split()) for part in re.findall(rf'(?:{QUOTED}|[^;\n"])+', text)]
        return cls(tuple(_parse_class(part, table) for part in parts if part))

    def to_dict(self) -> dict[str, Any]:
        """Return the request as JSON values."""
        return {"classes": [asdict(entry) for entry in self.classes]}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Request:
        """Return the request that `to_dict` wrote. Raises `ConfigError` where it is damaged."""
        try:
            return cls(tuple(ClassRequest(**entry) for entry in value["classes"]))
        except (KeyError, TypeError) as error:
            raise ConfigError(f"a request is damaged ({error!r})", _AGAIN) from error

    def multi_hot(self, length: int) -> np.ndarray:
        """Return float32 `(C,)`: 1 for every requested class."""
        vector = np.zeros(length, np.float32)
        vector[list(self.ids)] = 1
        return vector

    def kept_by(self, mask: np.ndarray, table: ClassTable, speck: float = SPECK) -> KeptReport:
        """Say class by class whether a mask shows what was asked; shares of area are not judged."""
        return self.matched_by(Request.from_mask(mask, table, speck))

    def matched_by(self, shown: Request) -> KeptReport:
        """Say the same of a mask whose own request is known already."""
        seen = {entry.class_id: entry for entry in shown.classes}
        return KeptReport(tuple(_judge(asked, seen.get(asked.class_id)) for asked in self.classes))


def plural(name: str) -> str:
    """Return the English plural of a class name: graspers, L-hook electrocauteries."""
    if re.search(r"[^aeiou]y$", name):
        return f"{name[:-1]}ies"
    return f"{name}es" if re.search(r"(s|x|z|ch|sh)$", name) else f"{name}s"


def _seen(mask: np.ndarray, class_id: int, box: tuple[slice, slice], speck: float) -> ClassRequest:
    """Describe a class within the box that holds all of it, which is quicker than within the frame."""
    region = mask[box] == class_id
    sizes = np.bincount(ndimage.label(region, TOUCHING)[0].ravel())[1:]
    area = int(sizes.sum())
    count = int(np.count_nonzero(sizes >= min(speck * mask.size, sizes.max())))
    across, along = region.sum(axis=0), region.sum(axis=1)
    y = box[0].start + along @ np.arange(len(along)) / area + 0.5
    x = box[1].start + across @ np.arange(len(across)) / area + 0.5
    row, column = (min(2, int(3 * at / side)) for at, side in zip((y, x), mask.shape, strict=True))
    return ClassRequest(class_id, count, PLACES[3 * row + column], round(area / mask.size, 6))


def _judge(asked: ClassRequest, seen: ClassRequest | None) -> ClassKept:
    number = None if asked.count is None else seen is not None and seen.count == asked.count
    at = None if asked.place is None else seen is not None and seen.place == asked.place
    return ClassKept(asked.class_id, seen is not None, number, at)


def _line(entry: ClassRequest, table: ClassTable) -> str:
    wishes = [_number(entry.count)] if entry.count is not None else []
    wishes += [entry.place] if entry.place else []
    wishes += [f"{100 * entry.share:.4f} %"] if entry.share is not None else []
    return f"{_said(entry.class_id, table)[0]}: {', '.join(wishes)}".removesuffix(": ")


@lru_cache(maxsize=1024)
def _said(class_id: int, table: ClassTable) -> tuple[str, bool]:
    """Return how a class is named in a request, and whether in quotation marks: where it is not read back."""
    name = table.names[class_id]
    forms = {
        name: (class_id, None, None), f"one {name}": (class_id, 1, None), f"{name}: one": (class_id, 1, None),
        f"two {plural(name)}": (class_id, 2, None), f"{name} in the centre": (class_id, None, "centre"),
    }  # fmt: skip
    for text, meant in forms.items():
        try:
            read = [(one.class_id, one.count, one.place) for one in Request.parse(text, table).classes]
        except ConfigError:
            read = []
        if (
            read != [meant] or "#" in text or '"' in text
        ):  # what a file of requests holds behind it is a comment
            return quoted(name), True
    return name, False


def _parse_class(text: str, table: ClassTable) -> ClassRequest:
    if named := _QUOTED.fullmatch(text):
        asked, said = table.id_of(named["name"]), named["number"]
        if named["wishes"] is not None:
            return _parse_wishes(asked, named["wishes"])
        if said is None or _count(said) is not None:
            return ClassRequest(asked, _count(said or ""), named["place"])
    if text.isdecimal() or text.casefold() in (name.casefold() for name in table.names):
        return ClassRequest(table.id_of(text))
    name, colon, wishes = text.rpartition(":")
    if colon:
        return _parse_wishes(table.id_of(name), wishes)
    match = _PHRASE.fullmatch(text)
    what, place = (match["what"], match["place"]) if match else (text, None)
    known = {name.casefold(): class_id for class_id, name in enumerate(table.names)}
    number, _, noun = what.partition(" ")
    count = None if what.casefold() in known else _count(number)
    if count is None:
        return ClassRequest(table.id_of(what), None, place)
    if count != 1:
        known = {plural(name).casefold(): class_id for class_id, name in enumerate(table.names)}
    class_id = known.get(noun.casefold())
    return ClassRequest(table.id_of(noun) if class_id is None else class_id, count, place)


def _parse_wishes(class_id: int, wishes: str) -> ClassRequest:
    count, place, share = None, None, None
    for wish in filter(None, (part.strip() for part in wishes.split(","))):
        number = _count(wish)
        percent = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", wish)
        if number is not None:
            count = number
        elif percent:
            share = round(float(percent[1]) / 100, 6)
        elif wish.replace("center", "centre") in PLACES:
            place = wish.replace("center", "centre")
        else:
            remedy = f"Write a number (one, two, 3), a place ({', '.join(PLACES)}) or a share (1.2 %)."
            raise ConfigError(f"{wish!r} in a request is not understood", remedy)
    return ClassRequest(class_id, count, place, share)


def _count(word: str) -> int | None:
    if word.casefold() in _NUMBERS:
        return _NUMBERS.index(word.casefold()) + 1
    return int(word) if word.isdecimal() else None


def _number(count: int) -> str:
    return _NUMBERS[count - 1] if count <= len(_NUMBERS) else str(count)


def _mean(values: Iterable[bool]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 1.0
