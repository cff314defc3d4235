"""One data set of a recipe, split once; what is trained on it lies in a `RunStore`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rarescene.commands.evaluate import evaluate
from rarescene.evaluation import RecordingOverlap
from rarescene.evaluation.run_metrics import METRICS
from rarescene.foundation.console import say
from rarescene.foundation.files import read_json
from rarescene.foundation.methods import GeneratorMethod
from rarescene.foundation.plugins import method_for
from rarescene.recipes.run_store import Planned, RunStore
from rarescene.recipes.scale import DataScale
from rarescene.reports import PHANTOM_WARNING
from rarescene.scenes.data import Data, decode, open_data

Scores = Mapping[str, RecordingOverlap]


class DataStudy:
    """One data set, split once, and the runs on it."""

    def __init__(self, source: DataScale, data: str, store: RunStore) -> None:
        self.source, self.store = source, store
        self.options: dict[str, Any] = {
            "data": data, "split": source.split, "fractions": source.fractions, "split_seed": 0,
            **({"group_by": source.group_by} if source.group_by else {}),
        }  # fmt: skip

    @cached_property
    def data(self) -> Data:
        """The data, opened and split."""
        named = dict(self.options)
        return open_data(named.pop("data"), **named)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What of the data decides a run: not where they lie, but what their masks show."""
        scenes = self.data.scenes
        files = {}
        if scenes.records[0].mask is not None:  # a phantom's name says all of it
            pixels = decode(scenes, 64, 64, images=False).class_pixels
            files = {"masks": blake2b(pixels.tobytes(), digest_size=8).hexdigest()}
        return files | {
            "name": scenes.name, "scenes": len(scenes), "classes": scenes.classes.fingerprint,
            **{name: value for name, value in self.options.items() if name != "data"},
        }  # fmt: skip

    def trained(self, kind: str, model: Any, *, seed: int = 0, **earlier: Callable[[], Planned]) -> Planned:
        """Return the run of a generator of this configuration.

        Args:
            **earlier: runs that it builds upon, by the command's option; made before it.
        """
        upon = {option: run() for option, run in earlier.items()}
        content = {"model": asdict(model), "seed": seed, "data": self.identity}
        content |= {option: run.name for option, run in upon.items()}

        def make(out: Path) -> None:
            given = {option: run.made() for option, run in upon.items()}
            say(f"training {kind}: {model.training.steps} steps of {model.training.batch_size}")
            method: GeneratorMethod = method_for("generators", model)
            bound = () if method.learner is None else (method,)
            method.train(*bound, model=model, out=out, seed=seed, resume=True, **given, **self.options)

        return self.store.planned(kind, content, make)

    def scores(self, segmenter: Path, pairs: Path | None = None) -> Scores:
        """Return what a segmenter scored, by recording: on the real test frames, or on synthetic pairs."""
        path = segmenter / (METRICS if pairs is None else f"metrics_{pairs.name}.json")
        if not path.is_file():
            evaluate(segmenter, data=self.options["data"] if pairs is None else f"set:{pairs}", out=path,
                     quiet=True)  # fmt: skip
        return read_scores(path)

    def setting(self, height: int, width: int) -> tuple[str, ...]:
        """Return what every table must say of its data; images are of this size."""
        data, split = self.data, self.data.split
        parts = {name: len(groups) for name, groups in data.provenance().recordings.items()}
        notes = [
            f"{data.scenes.name}, {width}×{height}, split {split.how!r}: {parts['train']} training, "
            f"{parts['validation']} validation and {parts['test']} test recordings."
        ]
        if data.provenance().phantom:
            notes.insert(0, PHANTOM_WARNING)
            if self.source.stands_for:
                notes.insert(1, self.source.stands_for)
        return tuple(notes) + ((split.warning,) if split.warning else ())


def read_scores(path: Path) -> Scores:
    """Return the scores by recording of a file that `evaluate` wrote."""
    return {name: RecordingOverlap.from_dict(value) for name, value in read_json(path)["recordings"].items()}
