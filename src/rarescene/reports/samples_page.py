"""`samples.html`: what a generator samples while it trains, checkpoint by checkpoint, for the same real maps.

The page looks for something new by itself while the training goes on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rarescene.foundation.console import say
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import read_log, write_text
from rarescene.foundation.methods import Generated
from rarescene.foundation.run_record import RunRecord
from rarescene.reports.cards import PHANTOM_WARNING, Origins, origins_of
from rarescene.reports.charts import Chart, training_chart
from rarescene.reports.gallery import contact_sheet, representative, write_picture
from rarescene.reports.report_page import template
from rarescene.scenes import ClassTable, Request, SceneCache

PAGE = "samples.html"
SHEETS = "samples"
"""Folder of the sheets in a run."""

SCENES = 6
SHOWN = 5
"""Sheets on the page; of more, these many are taken evenly, with the first and the last."""

NOISE = 1.5
"""Grain beyond which samples are called noise: neighbouring pixels differ so many times as much as in real
frames. A CASDM for 32² had 5.9 after 40 steps, and 2.2 after 200, when shapes show through; the shipped one
has 1."""

_SHEET = re.compile(r"step_(\d{8})\.png")


def grain(images: np.ndarray) -> float:
    """Return by how much neighbouring pixels differ in the mean, of 255.

    Args:
        images: uint8 `(N, H, W, 3)`.
    """
    values = images.astype(np.float64)
    return float((np.abs(np.diff(values, axis=1)).mean() + np.abs(np.diff(values, axis=2)).mean()) / 2)


@dataclass(frozen=True)
class SamplesReport:
    """What the page says.

    Attributes:
        sheets: the pictures that are shown, the newest first, by step.
        noise: a sentence that the newest samples are noise, or nothing.
        going: whether the training goes on.
    """

    title: str
    summary: str
    sheets: Mapping[int, np.ndarray]
    noise: str
    going: bool
    curves: tuple[Chart, ...]
    warnings: tuple[str, ...]
    provenance: Origins


class SampleSheets:
    """Samples the same scenes at each checkpoint, with the same seeds, and writes a sheet and the page.

    Scenes are taken by a rule: of each class in turn, the rarest first, one of median area.

    Args:
        folder: of the run.
        record: of the run.
        generates: "images" for masks, "maps" for requests, or "pairs".
        scenes: decoded at the size of the generator, best those of the validation recordings.
        steps: of the training, in all.
    """

    def __init__(
        self, folder: Path, record: RunRecord, generates: Generated, scenes: SceneCache, steps: int
    ) -> None:
        self.folder, self.record, self.generates, self.steps = folder, record, generates, steps
        self.table: ClassTable = scenes.classes
        shown = (scenes.class_pixels > 0).sum(axis=0)
        rarest = [int(index) for index in np.argsort(shown, kind="stable") if shown[index]]
        chosen = representative(scenes.class_pixels, rarest, SCENES)
        self.masks = scenes.take_masks(chosen)
        self.frames = scenes.take(chosen)[0] if scenes.images is not None and generates != "maps" else None

    def __call__(self, step: int, generator: Any) -> dict[str, float]:
        """Write the sheet of a checkpoint and the page; return the grain of its images, to be logged."""
        try:
            images, masks = self._sampled(generator)
        except ConfigError:  # its noise schedule has fewer steps than are usual, for instance
            return {}
        columns: dict[str, np.ndarray] = {}
        columns["map"] = self.table.colourise(self.masks)
        if self.frames is not None:
            columns["real frame"] = self.frames
        if masks is not None:
            columns["sampled map"] = self.table.colourise(masks)
        if images is not None:
            columns["sample" if self.generates == "images" else "sampled image"] = images
        flat = [place for place, name in enumerate(columns) if name.endswith("map")]
        sheet = contact_sheet(list(zip(*columns.values(), strict=True)), list(columns), side=128, flat=flat)
        write_picture(self.folder / SHEETS / f"step_{step:08d}.png", sheet)
        found: dict[str, float] = {}
        if images is not None and self.frames is not None:
            found["grain"] = grain(images) / max(grain(self.frames), 1e-6)
        noise = noise_in_words(step, found.get("grain", 0.0))
        if noise:
            say(f"note: {noise}")
        write_samples_page(self.folder, self.record, self.steps, noise=noise, going=step < self.steps)
        return found

    def _sampled(self, generator: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return images uint8 `(N, H, W, 3)` and masks uint8 `(N, H, W)`, where such are sampled."""
        from rarescene.diffusion import MapSamplingConfig, SamplingConfig
        from rarescene.training import to_masks, to_pixels

        seeds = list(range(len(self.masks)))
        if self.generates == "images":
            options = generator.sampling(SamplingConfig())
            images = generator.generate(to_masks(self.masks), seeds=seeds, **options)
            return to_pixels(images.cpu()), None
        requests = [Request.from_mask(mask, self.table) for mask in self.masks]
        if self.generates == "maps":
            options = generator.sampling(MapSamplingConfig(tries=1))
            maps = generator.generate_checked(requests, seeds=seeds, **options)
            return None, np.stack([one.mask for one in maps])
        pairs = generator.generate(requests, seeds=seeds, **generator.sampling(SamplingConfig()))
        return to_pixels(pairs.images.cpu()), pairs.masks.cpu().numpy().astype(np.uint8)


def noise_in_words(step: int, grain: float) -> str:
    """Return a sentence where samples are noise, else nothing.

    Args:
        step: after which they were taken.
        grain: by how much their neighbouring pixels differ, as a multiple of that in real frames.
    """
    if grain <= NOISE:
        return ""
    return (
        f"after {step:,} steps samples are still noise: neighbouring pixels differ {grain:.1f} times as much "
        "as in real frames"
    )


def write_samples_page(
    folder: Path, record: RunRecord, steps: int, *, noise: str = "", going: bool = False
) -> None:
    """Write the page from the sheets and the log in a run's folder."""
    found = {
        int(match[1]): path
        for path in sorted((folder / SHEETS).glob("*.png"))
        if (match := _SHEET.fullmatch(path.name))
    }
    places = sorted(found)
    if len(places) > SHOWN:
        places = [places[round(place * (len(places) - 1) / (SHOWN - 1))] for place in range(SHOWN)]
    log, phantom = read_log(folder / "log.jsonl"), record.provenance.phantom
    last = max(found)
    report = SamplesReport(
        title=f"{record.kind} while it trains" if going else f"{record.kind}, as it trained",
        summary=(
            f"The same scenes with the same seeds at each checkpoint, from the averaged weights; {last:,} of "
            f"{steps:,} steps are done."
        ),
        sheets={step: np.asarray(Image.open(found[step]).convert("RGB")) for step in reversed(places)},
        noise=noise,
        going=going,
        curves=tuple(
            training_chart(title, {record.kind: log}, value)
            for title, value in (("training loss", "loss"), ("grain of the samples", "grain"))
            if any(value in line for line in log)
        ),
        warnings=(PHANTOM_WARNING,) if phantom else (),
        provenance=origins_of([record]),
    )
    write_text(folder / PAGE, template("samples.html.j2").render(report=report))
