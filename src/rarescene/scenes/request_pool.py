"""Requests to sample from: those of a data set's own masks, or those that a user wrote down."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.foundation.configs import Count, typed
from rarescene.foundation.errors import ConfigError, DataError
from rarescene.foundation.files import read_text
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes.class_table import QUOTED, ClassTable
from rarescene.scenes.request import ClassRequest, Request

_COMMENT = re.compile(rf'^((?:{QUOTED}|[^"#])*)#.*')


@dataclass(frozen=True)
class RequestPool:
    """Requests, each with the number of masks that keep it: what scenes of a data set look like, in words.

    Attributes:
        requests: each once, without shares of area.
        counts: how many masks keep each.
    """

    requests: tuple[Request, ...]
    counts: tuple[int, ...]

    @classmethod
    def of_masks(cls, masks: Iterable[np.ndarray], table: ClassTable) -> RequestPool:
        """Return the requests of masks uint8 `(H, W)`."""
        found = Counter(_without_share(Request.from_mask(mask, table)) for mask in masks)
        return cls(tuple(found), tuple(found.values()))

    def __len__(self) -> int:
        return len(self.requests)

    def showing(self, classes: Sequence[int]) -> RequestPool:
        """Return the requests that ask for any of these classes; all of them where none is named.

        Raises:
            DataError: no request asks for them.
        """
        wanted = set(classes)
        kept = [
            (request, count)
            for request, count in zip(self.requests, self.counts, strict=True)
            if not wanted or wanted.intersection(request.ids)
        ]
        if not kept:
            raise DataError(
                "no request asks for the classes given",
                "Leave --classes out, or write the requests yourself.",
            )
        return RequestPool(tuple(request for request, _ in kept), tuple(count for _, count in kept))

    def only(self, class_id: int) -> RequestPool:
        """Return what is asked of one class alone, as often as the masks that show it have it."""
        found: Counter[Request] = Counter()
        for request, count in zip(self.requests, self.counts, strict=True):
            for entry in request.classes:
                if entry.class_id == class_id:
                    found[Request((entry,))] += count
        return RequestPool(tuple(found), tuple(found.values()))

    def sample(self, seed: int, index: int) -> Request:
        """Return request `index` of an endless series: that of a mask sampled at random."""
        place = derive_seed(seed, "request", index) % int(self._ends[-1])
        return self.requests[int(np.searchsorted(self._ends, place, side="right"))]

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum(self.counts)

    @property
    def most(self) -> int:
        """The largest number of pieces that is asked for; at least 1."""
        return max((entry.count or 1 for request in self.requests for entry in request.classes), default=1)

    def to_dict(self, table: ClassTable) -> dict[str, Any]:
        """Return the pool as JSON values: the text of each request, as `Request.parse` reads it."""
        lines = zip(self.requests, self.counts, strict=True)
        return {"requests": [{"request": request.to_text(table), "count": count} for request, count in lines]}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], table: ClassTable) -> RequestPool:
        """Return the pool that `to_dict` wrote. Raises `ConfigError` and others where it is damaged."""
        lines = typed(list[Mapping[str, Any]], value["requests"], "requests")
        if not lines:
            raise ValueError("it is empty")
        parsed = tuple(Request.parse(typed(str, line["request"], "request"), table) for line in lines)
        return cls(parsed, tuple(typed(Count, line["count"], "count") for line in lines))


def read_requests(path: Path, table: ClassTable) -> list[Request]:
    """Read a text file of requests, one a line as `Request.parse` reads it; `#` begins a comment.

    Within the quotation marks of a name it does not.

    Raises:
        DataError: the file is missing, no text, or holds no request.
        ConfigError: a line is not understood; it is numbered.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot be read", "Give a text file with one request a line.", path) from error
    requests = []
    for number, line in enumerate(lines, start=1):
        text = _COMMENT.sub(r"\1", line).strip()
        if text:
            try:
                requests.append(Request.parse(text, table))
            except ConfigError as error:
                raise ConfigError(f"line {number}: {error.what}", error.remedy, path) from error
    if not requests:
        remedy = (
            'Write one request a line, for instance "cystic duct: one, centre; grasper: two, upper right".'
        )
        raise DataError("holds no request", remedy, path)
    return requests


def _without_share(request: Request) -> Request:
    return Request(tuple(ClassRequest(e.class_id, e.count, e.place) for e in request.classes))
