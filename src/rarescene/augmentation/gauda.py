"""GAUDA (section 3.3, Figure 9): synthetic scenes of the classes that the segmenter is most uncertain of.

Train as usual. At a validation `Gauda.refresh` goes, step by step,

    from validation scenes to class uncertainties (Eq. 7 and 8)   `validation_uncertainty`
    to the k classes that are asked for                           `class_selection`
    to requests, one for each place of the batch B'               `batch_synthesis`
    to pairs, sampled now, between the steps or beside them       `batch_synthesis`, `background_sampling`
    to those of them that are kept                                `batch_synthesis`

and until the next validation `Gauda.mix` replaces scenes of each training batch at random by scenes of B'.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch

from rarescene.augmentation.background_sampling import ticks_within
from rarescene.augmentation.base import check_settings
from rarescene.augmentation.batch_synthesis import Agree, Ask, BatchSynthesis, Generate, Predict
from rarescene.augmentation.class_selection import ClassSelection
from rarescene.augmentation.gauda_config import GaudaConfig
from rarescene.augmentation.synthetic_batch import SyntheticBatch
from rarescene.augmentation.validation_uncertainty import class_uncertainties
from rarescene.foundation.console import say
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import Surroundings
from rarescene.foundation.protocols import Batch, Pairs, Segmenter
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import ClassTable
from rarescene.training.ranks import is_main_process

if TYPE_CHECKING:
    from rarescene.scenes import Request


class Gauda:
    """Online augmentation led by uncertainty. A step, here, is a call of `mix`.

    Every class is chosen in time, whatever its uncertainty; `ClassSelection` has the proof. A refresh that
    finds the batch before it still being sampled chooses none and does not count.

    Args:
        config: the constants of the method.
        classes: the class table of real and synthetic scenes.
        ask: gives, of a class id and a seed, a request that names the class.
        generate: generates a pair for each request, from its seed alone, at the size of the training scenes.
        predict: class probabilities `(B, C, H, W)` of images by the segmenter under training, such as its
            `predict`. Only needed for pairs that are sampled in the background and held to an agreement;
            others are checked by the segmenter that `refresh` is given.
        agree: gives on every rank the value that rank 0 passes. All ranks call it in the same order with
            values that can be pickled. One process agrees with itself.

    Raises:
        ConfigError: a class that is not excluded cannot be asked for, there is no class that is excluded, or
            pairs cannot be checked.
    """

    def __init__(
        self,
        config: GaudaConfig,
        classes: ClassTable,
        ask: Ask,
        generate: Generate,
        *,
        predict: Predict | None = None,
        agree: Agree = lambda value: value,
    ) -> None:
        self.config, self.classes, self.predict, self.agree = config, classes, predict, agree
        in_background = config.drawing.when != "at_refresh"
        if in_background and config.sieving.min_agreement is not None and predict is None:
            what = "pairs sampled in the background are held to an agreement, and nothing can tell it"
            raise ConfigError(what, "Give predict, sample at the refresh, or leave min_agreement out.")
        askable = _askable(config, classes, ask)
        # A class without a place in the batch would be chosen in vain.
        self.selection = ClassSelection(askable, min(config.classes, config.size), config.patience)
        self.refreshes = 0
        self.ticks = config.drawing.ticks
        self.batch: SyntheticBatch | None = None
        self._synthesis: BatchSynthesis | None = None
        self._synthesis_of = partial(BatchSynthesis, config, classes, ask, generate, agree)
        self._since = _nothing_yet()
        settings = {"strategy": "gauda", **asdict(config), "table": list(classes.names)}
        self.settings = json.loads(json.dumps(settings))

    def refresh(self, segmenter: Segmenter, validation: Sequence[Batch]) -> Mapping[str, Any]:
        """Measure uncertainty on validation scenes and have the next synthetic batch made.

        Args:
            segmenter: a Bayesian one.
            validation: its scenes, on its device.

        Returns:
            `by` ("uncertainty"); `lead`, the uncertainty of each class by name, or None; `classes`, names of
            those chosen, the most urgent first; `why` ("uncertain" or "waited") and `staleness`, the
            refreshes that a class had waited, by name; `requests`, in words, with how often each; `waiting`,
            whether the batch before is still being sampled, so that nothing was asked for. `drawn`, `kept`
            and `dropped` pairs, the `seconds` of sampling and `pause`, the longest that a step was held up,
            count from the refresh before up to and with this one; `standstill` is what sampling took here, in
            seconds. `step_ticks` is the number of denoising steps between two training steps, None where
            none are made there.

        Raises:
            ConfigError: the segmenter has no posterior, or there is no validation scene.
        """
        # Eq. 7 and 8: how far posterior samples of the validation scenes disagree, class by class.
        uncertainties = self._uncertainties(segmenter, validation)
        # Section 3.3: the k most uncertain classes, unless the batch before is still on its way.
        waiting, waited = self._synthesis is not None, self.selection.waited
        choices = [] if waiting else self.selection.choose(uncertainties)
        requests: list[str] = []
        if choices:
            # Figure 9: B', a request and a pair for each place, of which curation keeps what it should.
            self.refreshes += 1
            self._synthesis = self._synthesis_of(self.refreshes, [choice.class_id for choice in choices])
            requests = [request.to_text(self.classes) for request in self._synthesis.requests]
            device = validation[0].images.device
            with self._clocked("standstill"):
                self._synthesis.begin(lambda images: segmenter.predict(images.to(device)))
                self._settle_ticks(self._synthesis)
        names = self.classes.names
        decided = {
            "by": "uncertainty",
            "lead": dict(zip(names, uncertainties, strict=True)),
            "classes": [names[choice.class_id] for choice in choices],
            "why": {names[choice.class_id]: choice.why for choice in choices},
            "staleness": {names[c]: count for c, count in waited.items()},
            "requests": dict(Counter(requests)),
            "waiting": waiting,
            "step_ticks": self.ticks if self._between_steps else None,
            **self._since,
        }
        self._since = _nothing_yet()
        return decided

    def _uncertainties(self, segmenter: Segmenter, validation: Sequence[Batch]) -> list[float | None]:
        config, seed = self.config, derive_seed(self.config.seed, "posterior", self.refreshes)
        found = class_uncertainties(segmenter, validation, self.classes, config.samples, config.measure, seed)
        return list(self.agree(list(found)))

    @contextmanager
    def _clocked(self, name: Literal["standstill", "pause"]) -> Iterator[None]:
        """Time a part of the synthesis, and take up the batch once it is whole."""
        began = time.perf_counter()
        yield
        if self._synthesis is not None and self._synthesis.whole:
            whole, self._synthesis = self._synthesis, None
            self.batch = whole.batch
            self._since |= {"drawn": whole.sampled, "kept": len(whole.kept), "dropped": dict(whole.dropped)}
            self._since["seconds"] = whole.seconds
        self._since[name] = max(self._since[name], time.perf_counter() - began)

    def _settle_ticks(self, synthesis: BatchSynthesis) -> None:
        """Measure a block, once in a run, if its length is to decide what is sampled between two steps."""
        if self._between_steps and self.ticks is None and synthesis.sampling is not None:
            seconds = synthesis.sampling.first_block()
            self.ticks = self.agree(ticks_within(self.config.drawing.budget, seconds))

    @property
    def _between_steps(self) -> bool:
        return self.config.drawing.when == "between_steps"

    @property
    def synthetic(self) -> Pairs | None:
        """The synthetic batch in use; None before the first, or if none of its pairs was kept."""
        return None if self.batch is None else self.batch.pairs

    @property
    def since_refresh(self) -> Mapping[str, Any]:
        """What `refresh` would say of the sampling since the last one; for after the last step of a run."""
        return dict(self._since)

    def mix(self, batch: Batch) -> Batch:
        """Return the batch with each scene replaced by a synthetic one with the configured probability.

        Whether, and by which, is decided by the scene's own seed. Where the next synthetic batch is sampled
        in the background, a part of it is sampled here.

        Raises:
            ConfigError: synthetic scenes are of another size than the batch.
        """
        if self._synthesis is not None:
            with self._clocked("pause"):
                self._settle_ticks(self._synthesis)  # not settled yet where it was begun beside a training
                self._synthesis.advance(self.ticks if self._between_steps else None, self.predict)
        pairs = self.synthetic
        if pairs is None:
            return batch
        if pairs.masks.shape[1:] != batch.masks.shape[1:]:
            (height, width), (real_height, real_width) = pairs.masks.shape[1:], batch.masks.shape[1:]
            what = f"synthetic scenes are {width}×{height}, those of the batch {real_width}×{real_height}"
            raise ConfigError(what, "Generate pairs at the size of the training scenes.")
        images, masks = batch.images.clone(), batch.masks.clone()
        for place, seed in enumerate(batch.seeds):
            random = torch.Generator().manual_seed(derive_seed(seed, "gauda"))
            chance, choice = torch.rand(2, generator=random, dtype=torch.float64).tolist()
            if chance < self.config.probability:
                chosen = int(choice * len(pairs))
                images[place] = pairs.images[chosen].to(images)
                masks[place] = pairs.masks[chosen].to(masks)
        return Batch(images, masks, batch.seeds)

    def extend(self, scenes: Sequence[int]) -> Sequence[int]:
        """Return the real scenes as they are; synthetic ones come in by `mix`."""
        return list(scenes)

    def weights(self) -> Sequence[float] | None:
        """Return None: real scenes are sampled alike."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return the synthetic batch, who waited how long, and the synthesis under way, as JSON values."""
        return {
            "settings": self.settings,
            "refreshes": self.refreshes,
            "selection": self.selection.state_dict(),
            "ticks": self.ticks,
            "batch": None if self.batch is None else self.batch.to_dict(),
            "synthesis": None if self._synthesis is None else self._synthesis.state_dict(),
            "since": dict(self._since),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state; a round that was being sampled is sampled anew up to where it was.

        What one machine sampled beside the training, another may go on with between its steps, and the
        reverse.

        Raises:
            CheckpointError: it is the state of other settings.
        """
        check_settings(_anywhere(state.get("settings", {})), _anywhere(self.settings))
        self.close()
        self.refreshes, self.ticks = state["refreshes"], state["ticks"]
        self.selection.load_state_dict(state["selection"])
        self.batch = None if state["batch"] is None else SyntheticBatch.from_dict(state["batch"])
        self._since = dict(state["since"])
        if (synthesis := state["synthesis"]) is not None:
            self._synthesis = self._synthesis_of(synthesis["number"], synthesis["classes"])
            self._synthesis.load_state_dict(synthesis)

    def close(self) -> None:
        """End a synthesis that is under way."""
        if self._synthesis is not None:
            self._synthesis.close()
            self._synthesis = None


def _nothing_yet() -> dict[str, Any]:
    return {"drawn": 0, "kept": 0, "dropped": {}, "seconds": 0.0, "pause": 0.0, "standstill": 0.0}


def _askable(config: GaudaConfig, classes: ClassTable, ask: Ask) -> list[int]:
    """Return the classes that are not excluded, after a check that each can be asked for."""
    if unknown := [c for c in config.exclude if c not in range(len(classes))]:
        what = f"gauda.exclude names {', '.join(map(str, unknown))}, and there are {len(classes)} classes"
        raise ConfigError(what, f"Give ids from 0 to {len(classes) - 1}.")
    askable = [c for c in range(len(classes)) if c not in config.exclude]
    for c in askable:
        if c not in ask(c, config.seed).ids:
            what = f"a request for {classes.names[c]!r} does not name the class"
            raise ConfigError(what, "Let ask answer with a request that does, or exclude the class.")
    return askable


def _anywhere(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a state without where a background is: on a spare GPU, or between the steps."""
    drawing = dict(settings.get("drawing", {}))
    if drawing.get("when") != "at_refresh":
        drawing["when"] = "in the background"
    return {**settings, "drawing": drawing}


def gauda_of(config: GaudaConfig, around: Surroundings) -> Gauda:
    """Return GAUDA; to ask for a class, a real training label set that shows it is taken (section 3.3).

    What is generated "beside" the training needs a device of its own; without one it is generated between
    the steps instead.
    """
    assert around.pairs is not None
    pairs, table = around.pairs, around.table
    if config.drawing.when == "beside" and around.spare is None:
        if is_main_process():
            say("note: no GPU is left beside the training; pairs are generated between its steps")
        config = replace(config, drawing=replace(config.drawing, when="between_steps"))
    shown = {class_id for request in pairs.pool.requests for class_id in request.ids}
    unseen = set(range(len(table))) - shown
    pools = {class_id: pairs.pool.showing([class_id]) for class_id in sorted(shown)}

    def ask(class_id: int, seed: int) -> Request:
        return pairs.supported(pools[class_id].sample(seed, 0))  # by that, pairs are judged

    settled = replace(
        config,
        exclude=tuple(sorted({*config.exclude, *unseen})),
        seed=derive_seed(around.seed, "gauda", config.seed),
    )
    return Gauda(settled, table, ask, pairs.generate, predict=around.predict, agree=around.agree)
