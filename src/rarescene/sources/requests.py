"""What is asked for: one endless series of requests, whichever way they were given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.files import read_json
from rarescene.foundation.provenance import Provenance
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import ClassTable, Request, RequestPool, read_requests
from rarescene.scenes.data import decode, open_as_in

if TYPE_CHECKING:
    from rarescene.sources.mask_source import MaskSource
    from rarescene.sources.pair_source import PairSource

    Asked: TypeAlias = MaskSource[Request] | PairSource[Request]

REQUESTS = "requests.json"
"""The requests that the training maps of a run keep, with their numbers."""

TRAINING = "training"


@dataclass(frozen=True)
class RequestSeries:
    """Requests by index, and what a run record says of them.

    Attributes:
        at: gives request `index` of an endless series.
        different: how many different ones there are.
        made_by: what a set's header says of them; a set is resumed with the same requests only.
        behind: where they come from, if from more than the generator's own training.
    """

    at: Callable[[int], Request]
    different: int
    made_by: Mapping[str, Any]
    behind: tuple[Provenance, ...] = ()


def requests_for(
    asked: Asked,
    *,
    prompt: str = "",
    requests: str = TRAINING,
    classes: str = "",
    alone: bool = False,
    part: str = "train",
    seed: int = 0,
) -> RequestSeries:
    """Return the requests that the command line makes.

    Args:
        asked: the source of maps or of pairs.
        prompt: one request in words, for all maps; or empty.
        requests: "training": as the training masks show classes, sampled with their frequencies; a text file
            of requests, taken in turn; or a data set, NAME:PATH or a YAML file, whose masks are asked for
            again.
        classes: comma-separated; only requests that ask for any of them.
        alone: ask for the classes one by one, each as it occurs, and leave the rest of the scene free.
        part: part of the split of such a data set.
        seed: seed of the sampling.

    Raises:
        ConfigError: the options contradict each other, or name an unknown class.
    """
    table, ids = asked.table, asked.table.ids_in(classes)

    def series(
        at: Callable[[int], Request], pool: RequestPool, different: int, behind: tuple[Provenance, ...] = ()
    ) -> RequestSeries:
        fingerprint = hashlib.sha256(repr(pool.to_dict(table)).encode()).hexdigest()[:16]
        told = {"requests": requests, "asked": fingerprint, "classes": classes, "part": part}
        return RequestSeries(at, different, told, behind)

    def in_turn(listed: Sequence[Request]) -> RequestSeries:
        pool = RequestPool(tuple(listed), (1,) * len(listed))
        return series(lambda index: listed[index % len(listed)], pool, len(set(listed)))

    if prompt:
        if ids or alone:
            raise ConfigError("--prompt says already what is asked", "Leave --classes and --alone out.")
        return in_turn([Request.parse(prompt, table)])
    path = Path(requests)
    if path.is_file() and path.suffix not in (".yaml", ".yml"):
        if alone:
            raise ConfigError(
                "--alone needs masks to sample from", "Write single classes into the file instead."
            )
        listed = [one for one in read_requests(path, table) if not ids or set(ids).intersection(one.ids)]
        if not listed:
            raise ConfigError(f"no request of the file asks for {classes}", "Correct --classes.", path)
        return in_turn(listed)
    pool, behind = (asked.pool, ()) if requests == TRAINING else _pool_of_data(asked, requests, part)
    pool = pool.showing(ids)
    if not alone:
        return series(lambda index: pool.sample(seed, index), pool, len(pool), behind)
    single = [of_class for of_class in map(pool.only, ids or range(len(table))) if len(of_class)]

    def at(index: int) -> Request:
        turn, place = divmod(index, len(single))
        return single[place].sample(derive_seed(seed, "alone", place), turn)

    return series(at, pool, sum(map(len, single)), behind)


def read_pool(run: Path, table: ClassTable) -> RequestPool:
    """Return the requests of a run's training masks. Raises `CheckpointError` when the file is damaged."""
    path = run / REQUESTS
    value = read_json(path)
    try:
        return RequestPool.from_dict(value, table)
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        remedy = "Restore the file, or train the generator again."
        raise CheckpointError(f"holds no requests ({error!r})", remedy, path) from error


def _pool_of_data(asked: Asked, spec: str, part: str) -> tuple[RequestPool, tuple[Provenance, ...]]:
    source = open_as_in(asked.provenance, spec)
    if source.scenes.classes.fingerprint != asked.table.fingerprint:
        raise ConfigError(
            f"the classes of {spec} are {source.scenes.classes.name!r}, the generator's {asked.table.name!r}",
            "Take requests from data of the same class table.",
        )
    given = source.scenes.subset(source.part(part))
    cache = decode(given, asked.height, asked.width, images=False)
    masks = (mask for index in range(len(cache)) for mask in cache.take_masks([index]))
    return RequestPool.of_masks(masks, asked.table), (source.provenance(part),)
