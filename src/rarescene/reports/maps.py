"""Generated maps: how many keep their requests, how much they differ, and a picture of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from rarescene.foundation.console import say, show
from rarescene.foundation.errors import RareSceneError
from rarescene.foundation.run_record import RunRecord
from rarescene.reports.formatting import percent
from rarescene.reports.gallery import contact_sheet, write_picture
from rarescene.reports.tables import class_name, plain_table
from rarescene.scenes.data import decode, open_as_in

if TYPE_CHECKING:
    from rarescene.evaluation import KeptShares
    from rarescene.scenes import ClassTable, Request, SceneSet

MEASURED = 200
"""Maps, and a tenth of the training maps, that diversity and copies are measured on at most."""

_SIDE = 64  # IoUs are taken at this size at most
_SHOWN = 16, 8  # rows and columns of the picture


def score_maps(made: SceneSet, trained: RunRecord) -> dict[str, Any]:
    """Print and return what was kept of the requests, and how the maps compare with real ones.

    Args:
        trained: the record of their generator, whose training maps are opened once more.
    """
    from rarescene.evaluation import kept_shares
    from rarescene.scenes import KeptReport

    table = made.classes
    reports = {
        when: [KeptReport.from_dict(record.details[name]) for record in made.records]
        for when, name in (("first_draw", "kept_at_first"), ("after_redraws", "kept"))
    }
    shares = {when: kept_shares(found) for when, found in reports.items()}
    show(kept_table(shares["first_draw"], shares["after_redraws"], table))
    whole = {when: float(np.mean([report.kept for report in found])) for when, found in reports.items()}
    tries = float(np.mean([record.details["tries"] for record in made.records]))
    say(
        f"kept as a whole: {whole['first_draw']:.1%} of the requests at first draw, "
        f"{whole['after_redraws']:.1%} after {tries:.1f} draws on average"
    )
    by_name = {
        when: {table.names[class_id]: one.to_dict() for class_id, one in found.items()}
        for when, found in shares.items()
    }
    return {"maps": len(made), "kept": whole, "tries": tries, "classes": by_name, **_compare(made, trained)}


def write_sheet(path: Path, made: SceneSet) -> None:
    """Write a picture of maps: a row a request, under its words and the number of maps that keep it."""
    from rarescene.scenes import Request

    table = made.classes
    height, width = _SHOWN
    rows: dict[str, list[int]] = {}
    for index, record in enumerate(made.records):
        words = Request.from_dict(record.details["request"]).to_text(table) or "nothing asked"
        rows.setdefault(words, []).append(index)
    shown = {words: indices[:width] for words, indices in list(rows.items())[:height]}
    kept = [sum(made.records[one].details["kept"]["kept"] for one in row) for row in shown.values()]
    titles = [f"{words}   ({kept[i]} of {len(row)} kept)" for i, (words, row) in enumerate(shown.items())]
    pictures = [[table.colourise(made.mask(index)) for index in row] for row in shown.values()]
    columns = range(max(map(len, pictures)))
    sheet = contact_sheet(pictures, [""] * len(columns), titles=titles, side=128, flat=columns)
    write_picture(path, sheet)


def _compare(made: SceneSet, trained: RunRecord) -> dict[str, Any]:
    """Return diversity and copies beside the same of the training maps, where those can be read."""
    from rarescene.evaluation import map_copies
    from rarescene.scenes import Request

    try:
        source = open_as_in(trained.provenance)
        train = source.scenes.subset(source.split.train)
        height, width = (min(_SIDE, trained.config["model"][side]) for side in ("height", "width"))
        real = decode(train, height, width, images=False)
    except RareSceneError as error:
        say(f"note: diversity and copies are not measured, as the training maps cannot be read: {error.what}")
        return {}
    given, taken = _spread(len(real), 10 * MEASURED), _spread(len(made), MEASURED)
    maps = decode(made.subset(taken), height, width, images=False).take_masks(range(len(taken)))
    masks, classes = real.take_masks(given), len(made.classes)
    copies = map_copies(maps, masks, [real.recordings[index] for index in given], classes).to_dict()
    requests = [Request.from_dict(made.records[index].details["request"]) for index in taken]
    shown = [Request.from_mask(mask, made.classes) for mask in masks]
    alike = _alike(requests, maps, shown, masks, classes)
    near = {name: _percent(None if one is None else one["median"]) for name, one in copies.items()}
    say(
        f"IoU to the nearest training map, medians: generated {near['drawn']}; training maps {near['own']} "
        f"within their recording, {near['other']} between recordings"
    )
    among = _percent(alike["drawn"]), _percent(alike["training"])
    say(f"IoU among maps of one request: generated {among[0]}, training maps {among[1]}")
    areas = _areas(maps, masks, made.classes)
    ratios = {name: one["drawn"] / one["training"] for name, one in areas.items()}
    if wrong := [f"{name} {one:.1f}×" for name, one in ratios.items() if not 2 / 3 <= one <= 1.5]:
        say(f"area where shown, beside training maps; off by half or more: {', '.join(wrong)}")
    return {"copies": copies, "alike": alike, "areas": areas}


def _areas(made: np.ndarray, masks: np.ndarray, table: ClassTable) -> dict[str, dict[str, float]]:
    """Return each class's mean share of the frame in maps that show it, where both kinds of maps do."""
    shares = [
        np.stack([(maps == index).mean(axis=(1, 2)) for index in range(len(table))]) for maps in (made, masks)
    ]  # (C, N) each
    return {
        name: {"drawn": float(own[own > 0].mean()), "training": float(real[real > 0].mean())}
        for name, own, real in zip(table.names, *shares, strict=True)
        if own.any() and real.any()
    }


def _alike(
    requests: Sequence[Request], made: np.ndarray, shown: Sequence[Request], masks: np.ndarray, classes: int
) -> dict[str, float | None]:
    """Return the mean IoU among maps made for one request, and among the training maps that keep those."""
    from rarescene.evaluation import diversity

    generated: list[float | None] = []
    training: list[float | None] = []
    for request in dict.fromkeys(requests):
        places = [place for place, one in enumerate(requests) if one == request]
        if len(places) > 1:
            keeping = [row for row, one in enumerate(shown) if request.matched_by(one).kept]
            generated.append(diversity(made[places], classes))
            training.append(diversity(masks[keeping][_spread(len(keeping), 50)], classes))
    return {"drawn": _mean(generated), "training": _mean(training)}


def _spread(count: int, most: int) -> list[int]:
    """Return up to `most` indices below `count`, evenly spread."""
    return [int(place) for place in np.linspace(0, count - 1, min(count, most))] if count else []


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def kept_table(
    first: Mapping[int, KeptShares], final: Mapping[int, KeptShares], classes: ClassTable
) -> RenderableType:
    """Return what is kept of the requests, class by class: at first draw → after redraws, in per cent.

    Both are by class id, `final` of the maps that were kept in the end.
    """
    title = "requests kept, in per cent: at first draw → after redraws"
    table = plain_table(title, "class", "asked", "shown", "quantity", "place", "all")

    def cells(ids: Iterable[int]) -> list[str]:
        """Return the means over these classes, before and after."""
        means = [
            [_mean([getattr(found[one], name) for one in ids]) for found in (first, final)]
            for name in ("present", "quantity", "place", "kept")
        ]
        return [f"{percent(before, 0, '–')} → {percent(after, 0, '–')}" for before, after in means]

    for class_id, one in first.items():
        name = class_name(classes.names[class_id], classes)
        table.add_row(name, str(one.asked), *cells([class_id]))
    if first:
        table.add_section()
        asked = sum(shares.asked for shares in first.values())
        table.add_row("mean of the classes", str(asked), *cells(first), style="bold")
    note = "quantity and place count where they were asked; a class that is not shown has neither"
    return Group(table, Text(note, style="dim"))
