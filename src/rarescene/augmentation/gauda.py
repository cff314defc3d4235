"""GAUDA (section 3.3, Figure 9): synthetic scenes of the classes that the segmenter is most uncertain of.

train as usual; at a validation step estimate the class-wise uncertainty on validation scenes (Eq. 8);
draw a synthetic batch for the k most uncertain classes; go on training, with scenes of each batch
replaced at random by synthetic ones; at the next validation step, begin again.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch

from rarescene.augmentation.background_sampling import ticks_within
from rarescene.augmentation.base import check_settings
from rarescene.augmentation.batch_synthesis import Agree, Ask, Draw, Filling
from rarescene.augmentation.class_selection import Turns
from rarescene.augmentation.gauda_config import GaudaConfig
from rarescene.augmentation.online_curation import Predict
from rarescene.augmentation.synthetic_batch import Stock
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

    Every class has its turn: with k classes a refresh, patience P and n classes that may be asked for, each
    is chosen within P + ⌈n/k⌉ refreshes, again and again, whatever its uncertainty; `Turns` has the proof. A
    refresh that finds the batch before it still being drawn chooses none and does not count.

    Args:
        config: the constants of the method.
        classes: the class table of real and synthetic scenes.
        ask: gives, of a class id and a seed, a request that names the class.
        draw: gives a pair for each request, from its seed alone, at the size of the training scenes.
        predict: class probabilities `(B, C, H, W)` of images by the segmenter under training, such as its
            `predict`. Only needed for pairs that are drawn in the background and held to an agreement; others
            are judged by the segmenter that `refresh` is given.
        agree: gives on every rank the value that rank 0 passes. All ranks call it in the same order with
            values that can be pickled. One process agrees with itself.

    Raises:
        ConfigError: a class that is not excluded cannot be asked for, there is no class that is excluded, or
            pairs cannot be judged.
    """

    def __init__(
        self,
        config: GaudaConfig,
        classes: ClassTable,
        ask: Ask,
        draw: Draw,
        *,
        predict: Predict | None = None,
        agree: Agree = lambda value: value,
    ) -> None:
        self.config, self.classes, self.ask, self.draw, self.agree = config, classes, ask, draw, agree
        self.predict = predict
        if (
            config.drawing.when != "at_refresh"
            and config.sieving.min_agreement is not None
            and predict is None
        ):
            raise ConfigError(
                "pairs drawn in the background are held to an agreement, and nothing can tell it",
                "Give predict, draw at the refresh, or leave min_agreement out.",
            )
        if unknown := [c for c in config.exclude if c not in range(len(classes))]:
            what = f"gauda.exclude names {', '.join(map(str, unknown))}, and there are {len(classes)} classes"
            raise ConfigError(what, f"Give ids from 0 to {len(classes) - 1}.")
        asked = [c for c in range(len(classes)) if c not in config.exclude]
        for c in asked:
            if c not in ask(c, config.seed).ids:
                what = f"a request for {classes.names[c]!r} does not name the class"
                raise ConfigError(what, "Let ask answer with a request that does, or exclude the class.")
        # A class without a place in the batch would be chosen in vain.
        self.turns = Turns(asked, min(config.classes, config.size), config.patience)
        self.refreshes = 0
        self.ticks = config.drawing.ticks
        self.stock: Stock | None = None
        self._pairs: Pairs | None = None
        self._filling: Filling | None = None
        self._since: dict[str, Any] = {}
        self._count_anew()
        self.settings = json.loads(
            json.dumps({"strategy": "gauda", **asdict(config), "table": list(classes.names)})
        )

    def extend(self, scenes: Sequence[int]) -> Sequence[int]:
        """Return the real scenes as they are; synthetic ones come in by `mix`."""
        return list(scenes)

    def weights(self) -> Sequence[float] | None:
        """Return None: real scenes are drawn alike."""
        return None

    @property
    def synthetic(self) -> Pairs | None:
        """The synthetic batch in use; None before the first, or if none of its pairs was kept."""
        return self._pairs

    @property
    def since_refresh(self) -> Mapping[str, Any]:
        """What `refresh` would say of the drawing since the last one; for after the last step of a run."""
        return dict(self._since)

    def mix(self, batch: Batch) -> Batch:
        """Return the batch with each scene replaced by a synthetic one with the configured probability.

        Whether, and by which, is drawn from the scene's own seed. Where the next synthetic batch is drawn in
        the background, a part of it is drawn here.

        Raises:
            ConfigError: synthetic scenes are of another size than the batch.
        """
        self._draw_on()
        if self._pairs is None:
            return batch
        if self._pairs.masks.shape[1:] != batch.masks.shape[1:]:
            (height, width), (real_height, real_width) = self._pairs.masks.shape[1:], batch.masks.shape[1:]
            what = f"synthetic scenes are {width}×{height}, those of the batch {real_width}×{real_height}"
            raise ConfigError(what, "Draw pairs at the size of the training scenes.")
        images, masks = batch.images.clone(), batch.masks.clone()
        for place, seed in enumerate(batch.seeds):
            draws = torch.Generator().manual_seed(derive_seed(seed, "gauda"))
            chance, choice = torch.rand(2, generator=draws, dtype=torch.float64).tolist()
            if chance < self.config.probability:
                drawn = int(choice * len(self._pairs))
                images[place] = self._pairs.images[drawn].to(images)
                masks[place] = self._pairs.masks[drawn].to(masks)
        return Batch(images, masks, batch.seeds)

    def refresh(self, segmenter: Segmenter, validation: Sequence[Batch]) -> Mapping[str, Any]:
        """Measure uncertainty on validation scenes and order the next synthetic batch.

        Args:
            segmenter: a Bayesian one.
            validation: its scenes, on its device.

        Returns:
            `by` ("uncertainty"); `lead`, the uncertainty of each class by name, or None; `classes`, names of
            those chosen, the most urgent first; `why` ("uncertain" or "waited") and `staleness`, the
            refreshes that a class had waited, by name; `requests`, in words, with how often each; `waiting`,
            whether the batch before is still being drawn, so that nothing was asked for. `drawn`, `kept` and
            `dropped` pairs, the `seconds` of drawing and `pause`, the longest that a step was held up, count
            from the refresh before up to and with this one; `standstill` is what drawing took here, in
            seconds. `step_ticks` is the number of denoising steps between two training steps, None where
            none are made there.

        Raises:
            ConfigError: the segmenter has no posterior, or there is no validation scene.
        """
        uncertainties = class_uncertainties(
            segmenter, validation, self.classes, self.config.samples, self.config.measure,
            derive_seed(self.config.seed, "posterior", self.refreshes),
        )  # fmt: skip
        uncertainties = tuple(self.agree(list(uncertainties)))
        waiting = self._filling is not None
        waited = self.turns.waited
        choices = [] if waiting else self.turns.choose(uncertainties)
        requests: list[str] = []
        if choices:
            device = validation[0].images.device
            requests = self._order(
                [choice.class_id for choice in choices], lambda images: segmenter.predict(images.to(device))
            )
        decided = {
            "by": "uncertainty",
            "lead": dict(zip(self.classes.names, uncertainties, strict=True)),
            "classes": [self.classes.names[choice.class_id] for choice in choices],
            "why": {self.classes.names[choice.class_id]: choice.why for choice in choices},
            "staleness": {self.classes.names[c]: count for c, count in waited.items()},
            "requests": dict(Counter(requests)),
            "waiting": waiting,
            "step_ticks": self.ticks if self.config.drawing.when == "between_steps" else None,
            **self._since,
        }
        self._count_anew()
        return decided

    def _order(self, classes: Sequence[int], predict: Predict) -> list[str]:
        """Have the next synthetic batch drawn, now or from now on; return what was asked for, in words."""
        self.refreshes += 1
        self._filling = Filling(
            self.config, self.classes, self.ask, self.draw, self.refreshes, classes, self.agree
        )
        requests = [request.to_text(self.classes) for request in self._filling.requests]
        began = time.perf_counter()
        if self.config.drawing.when == "at_refresh":
            self._filling.fill(predict)
            self._take_up(self._filling)
        else:
            self._filling.begin()
            self._settle_ticks(self._filling)
        self._since["standstill"] = time.perf_counter() - began
        return requests

    def _settle_ticks(self, filling: Filling) -> None:
        """Measure a block, once in a run, if its length is to decide what is drawn between two steps."""
        if self.config.drawing.when == "between_steps" and self.ticks is None and filling.drawing:
            self.ticks = self.agree(ticks_within(self.config.drawing.budget, filling.first_block()))

    def _draw_on(self) -> None:
        """Draw on for one step, and take up the batch once it is whole."""
        if self._filling is None:
            return
        began = time.perf_counter()
        between = self.config.drawing.when == "between_steps"
        self._settle_ticks(self._filling)  # not settled yet where this drawing was begun beside the training
        self._filling.go_on(self.ticks if between else None, self.predict)
        if self._filling.full:
            self._take_up(self._filling)
        self._since["pause"] = max(self._since["pause"], time.perf_counter() - began)

    def _take_up(self, filled: Filling) -> None:
        self._use(filled.stock)
        self._since["drawn"] += filled.drawn
        self._since["kept"] += len(self.stock or ())
        self._since["dropped"] = dict(Counter(self._since["dropped"]) + filled.dropped)
        self._since["seconds"] += filled.seconds
        self._filling = None

    def _use(self, stock: Stock | None) -> None:
        self.stock, self._pairs = stock, None if stock is None else stock.pairs

    def _count_anew(self) -> None:
        self._since = {"drawn": 0, "kept": 0, "dropped": {}, "seconds": 0.0, "pause": 0.0, "standstill": 0.0}

    def state_dict(self) -> dict[str, Any]:
        """Return the synthetic batch, who waited how long, and the drawing under way, as JSON values."""
        return {
            "settings": self.settings,
            "refreshes": self.refreshes,
            "turns": self.turns.state_dict(),
            "ticks": self.ticks,
            "synthetic": None if self.stock is None else self.stock.to_dict(),
            "filling": None if self._filling is None else self._filling.state_dict(),
            "since": dict(self._since),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state; a drawing that was under way is made anew up to where it was.

        What one machine drew beside the training, another may go on with between its steps, and the reverse.

        Raises:
            CheckpointError: it is the state of other settings.
        """
        check_settings(_anywhere(state.get("settings", {})), _anywhere(self.settings))
        self.close()
        self.refreshes, self.ticks = state["refreshes"], state["ticks"]
        self.turns.load_state_dict(state["turns"])
        self._use(None if state["synthetic"] is None else Stock.from_dict(state["synthetic"]))
        self._since = dict(state["since"])
        if state["filling"] is not None:
            self._filling = Filling.resumed(
                self.config, self.classes, self.ask, self.draw, self.agree, state["filling"]
            )

    def close(self) -> None:
        """End a drawing that is under way."""
        if self._filling is not None:
            self._filling.close()
            self._filling = None


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
    unseen = [class_id for class_id in range(len(table)) if class_id not in shown]
    if unseen and is_main_process():
        names = ", ".join(table.names[class_id] for class_id in unseen)
        say(f"note: the generator was never shown {names}; that is not asked for")
    pools = {class_id: pairs.pool.showing([class_id]) for class_id in sorted(shown)}

    def ask(class_id: int, seed: int) -> Request:
        return pairs.heard(pools[class_id].draw(seed, 0))  # by what is listened to, pairs are judged

    settled = replace(
        config,
        exclude=tuple(sorted({*config.exclude, *unseen})),
        seed=derive_seed(around.seed, "gauda", config.seed),
    )
    return Gauda(settled, table, ask, pairs.draw, predict=around.predict, agree=around.agree)
