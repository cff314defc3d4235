"""What the commands that train share: the data, the record, the loop, and the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import Seed, Share
from rarescene.foundation.console import say, say_once
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.files import write_json
from rarescene.foundation.methods import Generated
from rarescene.foundation.provenance import Provenance
from rarescene.foundation.run_folder import same_data, same_run
from rarescene.foundation.run_record import RunRecord
from rarescene.scenes.data import decode, open_data, say_squashed
from rarescene.scenes.pool import ScenePool
from rarescene.sources.requests import REQUESTS

if TYPE_CHECKING:
    from torch import nn

    from rarescene.reports import Measure
    from rarescene.scenes import AugmentConfig, RequestPool, SceneCache
    from rarescene.training import Fitted, Learner, SceneBatches, TrainingConfig


class TrainingRun:
    """A training on the training recordings of a data set, in a folder of its own.

    Args:
        data: NAME:PATH or a YAML file.
        out: folder of the run.
        split: "recording", "time", "casdm", "gauda", a rule that a data set brings ("cholecseg8k", "cadis",
            "fold1" to "fold3" of SISVSE), or a file that lists the recordings of each part.
        fractions: shares of training, validation and test; by default those that suit the split.
        split_seed: seed of the split; keep it the same for all runs that are compared.
        group_by: regular expression whose first group tells the recordings of a folder apart.
        seed: seed of weights, order, augmentation, noise, and whatever else is random.
        resume: go on from the newest checkpoint in OUT.
    """

    record: RunRecord

    @takes_text_for_paths
    def __init__(
        self,
        *,
        data: str,
        out: Path,
        split: str = "recording",
        fractions: tuple[Share, Share, Share] | None = None,
        split_seed: Seed = 0,
        group_by: str | None = None,
        seed: Seed = 0,
        resume: bool = False,
    ) -> None:
        from rarescene.training.ranks import is_main_process

        self.out, self.seed, self.resume, self.main = out, seed, resume, is_main_process()
        self.source = open_data(data, split, split_seed, fractions, group_by)
        self.table = self.source.scenes.classes
        self.train = self.source.scenes.subset(self.source.split.train)

    def begin(self, kind: str, config: Mapping[str, Any], *behind: Provenance) -> None:
        """Begin the run's record, or see that it is the one that was begun.

        Args:
            kind: of the run.
            config: its settings, as JSON values.
            behind: where what it builds upon comes from; what that has seen, it has seen.

        Raises:
            ConfigError: the run that is resumed was begun otherwise.
        """
        from rarescene.training.ranks import accelerator, processes

        self.record = RunRecord.begin(
            kind=kind, config=config, seed=self.seed, provenance=self.source.provenance().union(*behind),
            class_table=self.table.to_dict(), accelerator=accelerator(), processes=processes(),
        )  # fmt: skip
        if self.resume:
            same_run(self.out, self.record)

    def decode(self, height: int, width: int, *, images: bool = True) -> SceneCache:
        """Return the training scenes at this size.

        Raises:
            ConfigError: they are not those that the resumed run was begun with.
        """
        say_squashed(self.train, height, width)
        scenes = decode(self.train, height, width, images=images)
        self.learn_from({"train": scenes})
        return scenes

    def learn_from(self, parts: Mapping[str, SceneCache]) -> None:
        """Put into the record what the data are once decoded, or see that they still are what they were.

        Raises:
            ConfigError: a part of the data is not what the resumed run was begun with, or holds no label.
        """
        learned = [one for part, one in parts.items() if part not in ("validation", "test")]
        shown = sum(one.class_pixels.sum(axis=0) for one in learned)
        unseen = [name for name, pixels in zip(self.table.names, shown, strict=True) if not pixels]
        if len(unseen) == len(self.table):
            remedy = "Check what the class table says of the masks' values: all pixels count as unlabelled."
            raise ConfigError("none of the scenes to train on holds a labelled pixel", remedy)
        if unseen and self.main:
            say_once(f"note: none of the scenes to train on shows {self.table.listed(unseen, ', ')}")
        self.record = replace(
            self.record, decoded={part: one.digest for part, one in parts.items() if len(one)}
        )
        if self.resume:
            same_data(self.out, self.record)

    def start(self, said: str, pool: RequestPool | None = None) -> None:
        """Say what is trained, and keep the requests that it may be asked for later."""
        self._pool = pool
        if self.main:
            say(said)

    def write_record(self) -> None:
        """Write record and requests, now that nothing is left that could refuse."""
        if self.main:
            self.record.write(self.out)
            if self._pool is not None:
                write_json(self.out / REQUESTS, self._pool.to_dict(self.table))

    def batches(
        self,
        scenes: SceneCache,
        training: TrainingConfig,
        augment: AugmentConfig,
        weights: Sequence[float] | None = None,
        *,
        images: bool = True,
        others: SceneCache | None = None,
        seed: int | None = None,
    ) -> SceneBatches:
        """Return batches of the training scenes, flipped and rotated; blank images where there are none.

        Args:
            scenes: decoded by `decode`.
            training: its batch size counts.
            augment: flips and rotations.
            weights: sampling weights of the scenes, then of the others, or None to take all alike.
            images: whether the scenes have images.
            others: more scenes with images, numbered after those.
            seed: of the order; by default the run's.
        """
        from rarescene.scenes import augment as augmented
        from rarescene.training import SceneBatches

        def masks_alone(indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
            masks = scenes.take_masks(indices)
            return np.zeros((*masks.shape, 3), np.uint8), masks  # the loop carries images, which nobody sees

        pool = ScenePool([scenes] if others is None else [scenes, others])
        return SceneBatches(
            pool.take if images else masks_alone,
            range(len(pool)), training.batch_size, self.seed if seed is None else seed,
            augment=lambda images, masks, seeds: augmented(
                images, masks, seeds, augment, ignore_index=self.table.ignore_index
            ),
            weights=weights,
        )  # fmt: skip

    def watch(
        self,
        generates: Generated,
        generator: Callable[[nn.Module], Any],
        height: int,
        width: int,
        steps: int,
    ) -> Callable[[int, nn.Module], Mapping[str, float]]:
        """Return what shows at each checkpoint what a generator samples by then, and saves it.

        What it samples for are scenes of the validation recordings, or of the training where there are none.

        Args:
            generates: what it is that is trained.
            generator: makes it of the averaged network.
            height: of what it samples.
            width: likewise.
            steps: of the training.
        """
        from rarescene.reports.samples_page import SampleSheets

        source = self.source
        shown = source.scenes.subset(source.split.validation or source.split.train)
        sheets: list[SampleSheets] = []

        def watch(step: int, average: nn.Module) -> Mapping[str, float]:
            if not sheets:  # the record is complete by now
                scenes = decode(shown, height, width, images=generates != "maps" and shown.has_images)
                sheets.append(SampleSheets(self.out, self.record, generates, scenes, steps))
            made = generator(average)
            made.save(self.out / "model")
            return sheets[0](step, made)

        return watch

    def fit(self, learner: Learner, batches: Any, training: TrainingConfig, **options: Any) -> Fitted:
        """Train, and return the outcome; `options` are those of `training.fit`."""
        from rarescene.training import fit

        return fit(
            learner, batches, training, self.out,
            seed=self.seed, resume=self.resume, ready=self.write_record,
            **{"label": self.record.kind, **options},
        )  # fmt: skip

    def end(
        self,
        summary: str,
        parameters: int,
        seconds: float,
        metrics: Mapping[str, float],
        measures: Sequence[Measure] = (),
    ) -> None:
        """End the record of a generator that is trained and saved, and write its card.

        Args:
            summary: what it does, in one sentence.
            parameters: number of its weights.
            seconds: of its training.
            metrics: what the training ended with.
            measures: what else was measured of it.
        """
        from rarescene.reports.cards import write_generator_card

        ended = self.record.ended(seconds, metrics)
        write_generator_card(self.out, ended, parameters, summary=summary, measures=measures)
        ended.write(self.out)
        say(f"trained in {seconds / 60:.1f} min; weights in {self.out / 'model'}")


def parameters_of(*networks: nn.Module) -> int:
    """Return the number of weights of networks."""
    return sum(weight.numel() for network in networks for weight in network.parameters())
