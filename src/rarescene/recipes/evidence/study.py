"""One way to divide the data of a study, and all that is trained, generated and scored on it, each once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from rarescene.commands.evaluate import evaluate
from rarescene.commands.pseudolabel import pseudolabel
from rarescene.commands.segment import segment
from rarescene.commands.synthesize import synthesize
from rarescene.evaluation.bootstrap import known_or_none, mean_of_known
from rarescene.evaluation.overlap import class_iou
from rarescene.evaluation.run_metrics import METRICS, VALIDATION_METRICS
from rarescene.foundation.console import say
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.files import write_json
from rarescene.foundation.plugins import by_command, package_of
from rarescene.foundation.run_record import read_record
from rarescene.recipes.demo import WEIGHTS
from rarescene.recipes.evidence.config import (
    SHIPPED,
    ArmConfig,
    EvidenceConfig,
    GeneratorConfig,
)
from rarescene.recipes.run_store import Planned, RunStore, address, finished
from rarescene.recipes.scale import DataScale
from rarescene.recipes.study import DataStudy, Scores, read_scores
from rarescene.reports.formatting import listing
from rarescene.scenes import SceneCache, open_scenes
from rarescene.scenes.data import decode
from rarescene.scenes.statistics import rare_classes
from rarescene.sources.leakage import open_judge
from rarescene.sources.mask_source import weights_hash
from rarescene.sources.pseudo_labels import frames_digest, open_unlabelled
from rarescene.sources.trust import missed

OWN = "metrics_of_training_frames.json"
"""What a segmenter scores on the frames that it was trained on, in its folder."""


@dataclass(frozen=True)
class Given(Planned):
    """A generator that the study was given, named by its weights wherever it lies."""

    weights: str

    @property
    def name(self) -> str:
        """A name for the addresses of what is made with it."""
        return f"given-{self.weights}"


@dataclass(frozen=True)
class Choice:
    """The share that an arm takes, and the mean IoU of the rare classes by which validation chose it."""

    share: float
    scores: Mapping[float, float]


class Part(DataStudy):
    """The data, divided in one way, and the runs on it.

    Args:
        name: what tables call it.
        config: of the study.
        source: how the data are divided.
        data: NAME:PATH or a YAML file.
        store: of the runs.
        tested_on: another data set, all of which is the test; None for the test part.
        rare: the classes that it is about; by default those of the study, or else that are rare here.
    """

    def __init__(
        self,
        name: str,
        config: EvidenceConfig,
        source: DataScale,
        data: str,
        store: RunStore,
        tested_on: str | None,
        rare: Sequence[str] = (),
    ) -> None:
        super().__init__(source, data, store)
        self.name, self.config, self.tested_on = name, config, tested_on
        self._rare = tuple(rare)
        self._generators: dict[tuple[int, int], Planned] = {}

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What of the data decides a run: what its masks show, and which scenes are in which part."""
        split, whole = self.data.split, super().identity
        parts = json.dumps([split.train, split.validation, split.test])
        known = {name: whole[name] for name in ("name", "scenes", "classes", "masks") if name in whole}
        return known | {"parts": blake2b(parts.encode(), digest_size=8).hexdigest()}

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of all classes."""
        return self.data.scenes.classes.names

    @cached_property
    def rare(self) -> tuple[str, ...]:
        """The classes that the study is about.

        Raises:
            ConfigError: one is not known, or none is named and none is rare.
        """
        named = self._rare or self.config.rare
        if named:
            return tuple(self.classes[one] for one in self.data.scenes.classes.ids_of(named))
        if not (found := rare_classes(self.data)):
            raise ConfigError("no class is rare in the training part", "Name some under `rare`.")
        return found

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Those of them that the training frames show."""
        ids = self.data.scenes.classes.ids_of(self.rare)
        pixels = self.own_scenes.class_pixels.sum(axis=0)
        return tuple(name for name, one in zip(self.rare, ids, strict=True) if pixels[one])

    @cached_property
    def own_scenes(self) -> SceneCache:
        """The training frames."""
        everything = decode(self.data.scenes, self.config.height, self.config.width)
        return everything.subset(self.data.split.train)

    @property
    def tested(self) -> str:
        """The file of test scores in a run's folder."""
        return METRICS if self.tested_on is None else f"metrics_{address({'tested on': self.tested_on})}.json"

    def generator(self, chosen: GeneratorConfig | str | None, seed: int) -> Planned:
        """Return a generator: trained on this training part, or the one that was given.

        Raises:
            ConfigError: the one that was given has learned from other recordings, or is of another size.
        """
        assert chosen is not None  # or the configuration would have been refused
        if (key := (id(chosen), seed)) not in self._generators:
            self._generators[key] = (
                self._trained(chosen, seed) if isinstance(chosen, GeneratorConfig) else self._given(chosen)
            )
        return self._generators[key]

    def judge(self) -> Planned:
        """Return the segmenter that judges and labels: of another seed, trained on the real frames alone."""
        name = next(iter(self.config.segmenters))
        asked = any(arm.classes == "missed" for arm in self.config.arms.values())
        scores = {VALIDATION_METRICS: self._score_validation} if asked else {}
        return self._segmenter(name, ArmConfig(), {}, {}, self.config.judge_seed, scores)

    def classes_of(self, arm: ArmConfig) -> tuple[str, ...] | None:
        """Return the rare classes that an arm adds; None while the judge, who chooses them, is not trained.

        Raises:
            ConfigError: the judge misses none.
        """
        if arm.classes == "rare":
            return self.targets
        if not (judge := self.judge()).there:
            return None
        scores = read_scores(judge.path / VALIDATION_METRICS)
        found = missed(class_iou(scores.values(), self.classes), self.targets)
        if not found:
            what = "the judge misses none of the rare classes on the validation part"
            raise ConfigError(what, "Leave out the arms with `classes: missed`.")
        return found

    @cached_property
    def unlabelled(self) -> dict[str, Any]:
        """What of the frames without masks decides a set of them: what they show, and their recordings.

        Raises:
            ConfigError: they are of recordings that choose or test.
        """
        spec, data = self.config.data.unlabelled, self.config.data
        assert spec is not None  # or the configuration would have been refused
        scenes = open_unlabelled(spec, self.data.scenes.classes, data.group_by).scenes
        parts = self.data.split.recordings
        held = {name for part in ("validation", "test") for name in parts.get(part, ())}
        if self.tested_on is not None:
            held |= set(open_scenes(self.tested_on, group_by=data.group_by).groups)
        if found := sorted(held.intersection(scenes.groups)):
            what = f"data.unlabelled has recordings that choose or test: {listing(found)}"
            raise ConfigError(what, "Take frames of other recordings.")
        files = {}
        if scenes.records[0].image is not None:  # a phantom's name says all of it
            files = {"frames": frames_digest(decode(scenes, self.config.height, self.config.width))}
        return files | {"name": scenes.name, "scenes": len(scenes), "group_by": data.group_by}

    def labelled(self, sure: float) -> Planned:
        """Return the set of all frames without masks, labelled where the judge is sure."""
        judge = self.judge()
        content = {"kind": "pseudo", "sure": sure, "judge": judge.name, "unlabelled": self.unlabelled}

        def make(out: Path) -> None:
            run, data = judge.made(), self.config.data
            assert data.unlabelled is not None
            say(f"labelling {data.unlabelled} with {run.name}")
            pseudolabel(run, data.unlabelled, out=out, sure=sure, group_by=data.group_by, resume=True)

        return self.store.planned("set", content, make)

    def made_set(self, chosen: ArmConfig, seed: int) -> Planned | None:
        """Return the set of an arm; what is generated is of this seed of generator and set.

        None where the arm has none, or while the classes that it shows are not chosen.
        """
        if (arm := chosen.set) is None:
            return None
        if arm.kind == "pseudo":
            return self.labelled(arm.sure)
        if (names := self.classes_of(chosen)) is None:
            return None
        config, source = self.config, self.generator(self.config.generator, seed)
        classes = self.data.scenes.classes.listed(names)
        count = arm.size(len(self.data.split.train))
        options: dict[str, Any] = {"classes": classes, "count": count, "seed": seed, "vary": arm.vary}
        how: dict[str, Any] = {"sampling": arm.sampling or config.sampling}
        upon: dict[str, Planned] = {}
        data: dict[str, Any] = {}
        match arm.kind:
            case "masks":
                data = {"masks": self.options["data"]}
            case "compose":
                data = {"compose": self.options["data"]}
                how |= {name: getattr(arm, name) for name in ("composition", "insertion", "trust")}
                upon |= {"judge": self.judge()} if arm.judge else {}
                upon |= {"into": self.labelled(arm.sure)} if arm.into else {}
            case "requests" if config.maps is not None:
                how["map_sampling"] = config.map_sampling
                upon["maps"] = self.generator(config.maps, seed)
        content = {
            "kind": arm.kind, **options, **{name: asdict(one) for name, one in how.items()},
            "generator": source.name, **{name: run.name for name, run in upon.items()}, "data": self.identity,
        }  # fmt: skip

        def make(out: Path) -> None:
            run = source.made()
            given: dict[str, Any] = {name: one.made() for name, one in upon.items()}
            say(f"generating {count} scenes with {run.name}: {arm.kind}, seed {seed}")
            synthesize(run, out=out, resume=True, **data, **given, **how, **options)

        return self.store.planned("set", content, make)

    def upon(self, arm: ArmConfig, seed: int) -> dict[str, Planned]:
        """Return what an arm builds upon, by the option of `rarescene segment`, for a seed of a segmenter."""
        found, own = dict[str, Planned](), self.config.generator_seed(seed)
        if (made := self.made_set(arm, own)) is not None:
            found["synthetic"] = made
        known = by_command("strategies")
        if any(known[word].needs == "generator" for word in arm.words):
            found["generator"] = self.generator(self.config.generator, own)
            if self.config.maps is not None:
                found["maps"] = self.generator(self.config.maps, own)
        return found

    def cell(self, segmenter: str, arm: ArmConfig, seed: int, share: float | None) -> Planned:
        """Return the run of a segmenter in an arm, scored on the test and on its own training frames."""
        table, config = self.data.scenes.classes, self.config
        names = self.classes_of(arm)
        assert names is not None  # or it would not be planned yet
        classes = table.listed(names or self.rare)  # strategies themselves say that nothing shows them
        real = len(self.data.split.train)
        scores = {self.tested: self._score_test, OWN: self._score_own}
        if len(config.shares_of(arm)) > 1 and seed == config.seeds[0]:
            scores[VALIDATION_METRICS] = self._score_validation
        options = config.options_of(arm, share, real=real, classes=classes)
        return self._segmenter(segmenter, arm, options, self.upon(arm, seed), seed, scores)

    def candidates(self, segmenter: str, arm: ArmConfig) -> dict[float, Planned]:
        """Return the runs among which validation chooses an arm's share; none where there is no choice."""
        shares = [share for share in self.config.shares_of(arm) if share is not None]
        first = self.config.seeds[0]
        return {share: self.cell(segmenter, arm, first, share) for share in shares} if shares[1:] else {}

    def choice(self, segmenter: str, arm: ArmConfig) -> Choice | None:
        """Return the share that validation chose; None while it could not, or where there is no choice.

        Raises:
            ConfigError: the validation part shows none of the rare classes.
        """
        candidates = {} if self.classes_of(arm) is None else self.candidates(segmenter, arm)
        if not candidates or not all(run.there for run in candidates.values()):
            return None
        found = {
            share: self.rare_mean(read_scores(run.path / VALIDATION_METRICS))
            for share, run in candidates.items()
        }
        known = {share: score for share, score in found.items() if score is not None}
        if not known:
            what = "the validation part shows none of the rare classes, by which a share would be chosen"
            raise ConfigError(what, "Give one share, or a split whose validation part shows them.")
        return Choice(max(known, key=known.__getitem__), known)

    def planned(self, segmenter: str, arm: ArmConfig, seed: int) -> Planned | None:
        """Return the run of a cell of the table; None while classes or share of its arm are not chosen."""
        if self.classes_of(arm) is None:
            return None
        shares = self.config.shares_of(arm)
        if len(shares) == 1:
            return self.cell(segmenter, arm, seed, shares[0])
        choice = self.choice(segmenter, arm)
        return None if choice is None else self.cell(segmenter, arm, seed, choice.share)

    def made(self, segmenter: str, arm: ArmConfig, seed: int) -> Path:
        """Return the finished run of a cell; what it lacks, its arm's choice among others, is made first."""
        if arm.judged:
            self.judge().made()
        for candidate in self.candidates(segmenter, arm).values():
            candidate.made()
        planned = self.planned(segmenter, arm, seed)
        assert planned is not None
        return planned.made()

    def rare_mean(self, scores: Scores) -> float | None:
        """Return the mean IoU of the rare classes; None where none is shown."""
        return mean_of(class_iou(scores.values(), self.classes), self.rare)

    def _trained(self, chosen: GeneratorConfig, seed: int) -> Planned:
        model = chosen.resolved(self.config.height, self.config.width)
        upon = {word: partial(self.generator, one, seed) for word, one in chosen.upon.items()}
        return self.trained(by_command("generators")[chosen.method].name, model, seed=seed, **upon)

    def _given(self, chosen: str) -> Given:
        run = WEIGHTS if chosen == SHIPPED else Path(chosen)
        record = read_record(run)
        theirs, ours = record.provenance.recordings.get("train", ()), self.data.split.recordings["train"]
        if set(theirs) != set(ours):
            what = f"has learned from other recordings than the {len(ours)} that train here"
            remedy = "Have the study train its generator (`generator: {method: …}`), or split as it did."
            raise ConfigError(what, remedy, run)
        model = record.config.get("model", {})
        if (size := (model.get("height"), model.get("width"))) != (self.config.height, self.config.width):
            what = f"generates {size[1]}×{size[0]}, the study has {self.config.width}×{self.config.height}"
            remedy = "Give the study the generator's height and width, or have it train its own."
            raise ConfigError(what, remedy, run)
        return Given(run, _not_finished, finished, weights_hash(run))

    def _segmenter(
        self,
        name: str,
        arm: ArmConfig,
        options: Mapping[str, Any],
        upon: Mapping[str, Planned],
        seed: int,
        scores: Mapping[str, Callable[[Path], None]],
    ) -> Planned:
        """Return the run of a segmenter, complete once it is trained and has all these scores."""
        config = self.config
        method, model, training = config.segmenter(name)
        online: dict[str, Any] = {"sampling": config.sampling} if "generator" in upon else {}
        online |= {"map_sampling": config.map_sampling} if "maps" in upon else {}
        content = {
            "segmenter": method.name, **package_of(method), "model": asdict(model),
            "training": asdict(training), "strategy": ",".join(arm.words),
            "options": {word: asdict(one) for word, one in options.items()},
            "upon": {option: run.name for option, run in upon.items()},
            **{option: asdict(one) for option, one in online.items()},
            "seed": seed, "size": [config.height, config.width], "data": self.identity,
        }  # fmt: skip

        def make(out: Path) -> None:
            given = {option: run.made() for option, run in upon.items()}
            if not finished(out):
                say(f"training {name}: {arm.strategy}, seed {seed}")
                segment(
                    method, model=model, training=training, out=out, strategy=arm.strategy,
                    strategies=options, seed=seed, height=config.height, width=config.width, resume=True,
                    **given, **online, **self.options,
                )  # fmt: skip
            for file, score in scores.items():
                if not (out / file).is_file():
                    score(out)

        def complete(out: Path) -> bool:
            return finished(out) and all((out / file).is_file() for file in scores)

        return self.store.planned(method.name, content, make, complete)

    def _score_test(self, run: Path) -> None:
        if self.tested_on is None:
            evaluate(run, data=self.options["data"], quiet=True)
        else:  # a split that may name recordings of the training data says nothing of another data set
            evaluate(
                run, data=self.tested_on, part="all", split="recording", out=run / self.tested, quiet=True
            )

    def _score_validation(self, run: Path) -> None:
        evaluate(run, data=self.options["data"], part="validation", quiet=True)

    def _score_own(self, run: Path) -> None:
        judge = open_judge(run, read_record(run, "segmenter"), self.data.scenes.classes)
        found = judge.overlaps(self.own_scenes, self.own_scenes.recordings, "scoring its own training frames")
        write_json(run / OWN, {"recordings": {name: one.to_dict() for name, one in found.items()}})


def mean_of(iou: Mapping[str, float | None], names: Sequence[str]) -> float | None:
    """Return the mean over those of some classes that have a score; None where none has."""
    return known_or_none(float(mean_of_known(np.array([iou[name] for name in names], np.float64))))


def _not_finished(run: Path) -> None:
    raise CheckpointError("the generator is not trained to its end", "Repeat its command with --resume.", run)
