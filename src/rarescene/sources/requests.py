"""What is asked for and how it is drawn: one endless series of requests, whichever way they were given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.files import read_json
from rarescene.foundation.run_record import RunRecord, Seen
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import ClassTable, Request, RequestPool, read_requests
from rarescene.scenes.data import class_ids, decode, open_as_in

REQUESTS = "requests.json"
"""The requests that the training maps of a run keep, with their numbers."""

TRAINING = "training"


@dataclass(frozen=True)
class SamplingConfig:
    """How pairs are drawn.

    Attributes:
        sampler: dpm-solver++, unipc, ddim or ddpm.
        steps: denoising steps, at most the timesteps of the generator's noise schedule; by default 30 for an
            image generator and 20 for a joint one.
        guidance: scale of classifier-free guidance, for SDM and joint generators; by default the one in their
            configuration.
        precision: "no" for float32, or "bf16".
        block: scenes drawn at once; part of what makes two sets equal to the byte.
    """

    sampler: Literal["dpm-solver++", "unipc", "ddim", "ddpm"] = "dpm-solver++"
    steps: int | None = None
    guidance: float | None = None
    precision: Literal["no", "bf16"] = "no"
    block: int = 8

    def __post_init__(self) -> None:
        for name in ("steps", "block"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"sampling.{name} is {value}", f"Set sampling.{name} to 1 or more.")

    def settled(self, steps: int) -> Self:
        """Return the same with this number of steps where none was given."""
        return self if self.steps else replace(self, steps=steps)


@dataclass(frozen=True)
class MapSamplingConfig:
    """How maps are drawn.

    Attributes:
        sampler: dpm-solver++, unipc, ddim or ddpm.
        steps: denoising steps, at most the timesteps of the generator's noise schedule.
        guidance: scale of classifier-free guidance; 1 is none, and twice as fast.
        tries: maps drawn for a request at most, until one keeps it.
        precision: "no" for float32, or "bf16".
        block: maps drawn at once; part of what makes two sets equal to the byte.
    """

    sampler: Literal["dpm-solver++", "unipc", "ddim", "ddpm"] = "dpm-solver++"
    steps: int = 30
    guidance: float = 2.0
    tries: int = 8
    precision: Literal["no", "bf16"] = "no"
    block: int = 8

    def __post_init__(self) -> None:
        for name in ("steps", "tries", "block"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"map_sampling.{name} is {getattr(self, name)}", f"Set {name} to 1 or more."
                )
        if self.guidance < 0:
            raise ConfigError(
                f"map_sampling.guidance is {self.guidance}", "Take 0 or more; 1 is no guidance."
            )


def check_map_sampling(maps: Path | None, map_sampling: MapSamplingConfig) -> None:
    """Check that options of maps were given only where maps are drawn; their block may stand.

    Raises:
        ConfigError: they would be ignored.
    """
    usual = MapSamplingConfig(block=map_sampling.block)
    deaf = [name for name, value in asdict(map_sampling).items() if value != getattr(usual, name)]
    if deaf and maps is None:
        named = ", ".join(f"map_sampling.{name}" for name in deaf)
        remedy = f"Leave {named} out, or give --maps with the folder of a `train maps` run."
        raise ConfigError("no maps are drawn, and options say how", remedy)


@dataclass(frozen=True)
class Asked:
    """Requests by index, and what a run record says of them.

    Attributes:
        at: gives request `index` of an endless series.
        different: how many different ones there are.
        fingerprint: of all that may be asked; a set is resumed with the same requests only.
        seen: recordings that the requests were derived from, beyond those of the generator.
    """

    at: Callable[[int], Request]
    different: int
    fingerprint: str
    seen: Seen


def ask(
    run: Path,
    trained: RunRecord,
    table: ClassTable,
    *,
    prompt: str,
    requests: str,
    classes: str,
    alone: bool,
    part: str,
    seed: int,
) -> Asked:
    """Return the requests that the command line asks for.

    Args:
        run: folder of a run that trained a generator of maps or of pairs.
        trained: its record.
        table: its classes.
        prompt: one request in words, for all maps; or empty.
        requests: "training": as the training masks show classes, drawn with their frequencies; a text file of
            requests, taken in turn; or a data set, NAME:PATH or a YAML file, whose masks are asked for again.
        classes: comma-separated; only requests that ask for any of them.
        alone: ask for the classes one by one, each as it occurs, and leave the rest of the scene free.
        part: part of the split of such a data set.
        seed: seed of the drawing.

    Raises:
        ConfigError: the options contradict each other, or name an unknown class.
    """
    ids = class_ids(table, classes)
    if prompt:
        if ids or alone:
            raise ConfigError("--prompt says already what is asked", "Leave --classes and --alone out.")
        return _listed([Request.parse(prompt, table)], table)
    path = Path(requests)
    if path.is_file() and path.suffix not in (".yaml", ".yml"):
        if alone:
            raise ConfigError(
                "--alone needs masks to draw from", "Write single classes into the file instead."
            )
        wanted = set(ids)
        listed = [one for one in read_requests(path, table) if not ids or wanted.intersection(one.ids)]
        if not listed:
            raise ConfigError(f"no request of the file asks for {classes}", "Correct --classes.", path)
        return _listed(listed, table)
    seen = Seen()
    if requests == TRAINING:
        pool = read_pool(run, table)
    else:
        pool, seen = _pool_of_data(trained, table, requests, part)
    pool = pool.showing(ids)
    if not alone:
        return Asked(lambda index: pool.draw(seed, index), len(pool), _fingerprint(pool, table), seen)
    single = [of_class for of_class in map(pool.only, ids or range(len(table))) if len(of_class)]

    def at(index: int) -> Request:
        turn, place = divmod(index, len(single))
        return single[place].draw(derive_seed(seed, "alone", place), turn)

    return Asked(at, sum(map(len, single)), _fingerprint(pool, table), seen)


def read_pool(run: Path, table: ClassTable) -> RequestPool:
    """Return the requests of a run's training masks. Raises `CheckpointError` when the file is damaged."""
    path = run / REQUESTS
    value = read_json(path)
    try:
        return RequestPool.from_dict(value, table)
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        remedy = "Restore the file, or train the generator again."
        raise CheckpointError(f"holds no requests ({error!r})", remedy, path) from error


def _pool_of_data(trained: RunRecord, table: ClassTable, spec: str, part: str) -> tuple[RequestPool, Seen]:
    source = open_as_in(trained, spec)
    if source.scenes.classes.fingerprint != table.fingerprint:
        raise ConfigError(
            f"the classes of {spec} are {source.scenes.classes.name!r}, the generator's {table.name!r}",
            "Take requests from data of the same class table.",
        )
    given = source.scenes.subset(source.part(part))
    model: dict[str, Any] = trained.config["model"]
    cache = decode(given, model["height"], model["width"], images=False)
    masks = (mask for index in range(len(cache)) for mask in cache.take_masks([index]))
    return RequestPool.of_masks(masks, table), source.seen(part)


def _listed(requests: list[Request], table: ClassTable) -> Asked:
    pool = RequestPool(tuple(requests), (1,) * len(requests))
    return Asked(
        lambda index: requests[index % len(requests)], len(set(requests)), _fingerprint(pool, table), Seen()
    )


def _fingerprint(pool: RequestPool, table: ClassTable) -> str:
    return hashlib.sha256(repr(pool.to_dict(table)).encode()).hexdigest()[:16]
