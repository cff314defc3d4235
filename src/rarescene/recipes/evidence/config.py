"""What an evidence study compares, on which data, and how it is trained. Imports no torch.

A configuration is a YAML file, perhaps over a `base:`; those that ship are `recipes/configs/evidence-*.yaml`.
All that is wrong with one by itself is said before anything is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from rarescene.augmentation.strategies import Strategies
from rarescene.diffusion.config import InsertionConfig, MapSamplingConfig, SamplingConfig
from rarescene.foundation.config_files import find_config, laid_over, read_config_file
from rarescene.foundation.configs import (
    Count,
    Positive,
    Seed,
    Settings,
    Share,
    ShareBelowOne,
    Side,
    config_from,
)
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import GeneratorMethod, SegmenterMethod
from rarescene.foundation.plugins import by_command
from rarescene.recipes.scale import CONFIGS
from rarescene.sources.composition import CompositionConfig
from rarescene.sources.pseudo_labels import SURE
from rarescene.sources.trust import TrustConfig
from rarescene.training.config import TrainingConfig

BASELINE = "none"
"""The arm that all others are compared with."""

SHIPPED = "shipped"
"""The generator that comes with the package, trained on the demo's phantom recordings."""

SHARES: Mapping[str, tuple[str, Callable[[float, int], float]]] = {
    "duplicate": ("count", lambda share, real: round(real * share / (1 - share))),
    "offline": ("probability", lambda share, real: share),
    "paste": ("probability", lambda share, real: share),
}
"""How a strategy gives so large a share of the sampled scenes to what it adds: its option, and the value."""


@dataclass(frozen=True)
class DataConfig(Settings, section="data"):
    """The real data of a study.

    Attributes:
        spec: NAME:PATH or a YAML file; None where the user must name them by `--data`.
        split: as of every training: a rule or a file; None where the user must name one by `--split`.
        fractions: shares of training, validation and test; by default those that suit the split.
        group_by: regular expression that tells the recordings of a folder apart.
        tested_on: another data set, all of which is the test in place of the test part.
        unlabelled: frames of other recordings, which a segmenter labels: a folder of images, or another data
            set, whose masks are not looked at.
        wanted: what the data must be, for the message that asks for them.
    """

    spec: str | None = None
    split: str | None = "recording"
    fractions: tuple[Share, Share, Share] | None = None
    group_by: str | None = None
    tested_on: str | None = None
    unlabelled: str | None = None
    wanted: str = ""


@dataclass(frozen=True)
class GeneratorConfig(Settings, section="generator"):
    """A generator that the study trains itself, on each training part anew.

    Attributes:
        method: its word behind `rarescene train`.
        config: a configuration that ships, or a file, whose `model` it has; its size is the study's.
        model: what differs from that.
        upon: generators that it builds upon, by the command's option, such as the `images` and `masks` of a
            joint one.
    """

    method: str
    config: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)
    upon: Mapping[str, GeneratorConfig] = field(default_factory=dict)

    def resolved(self, height: int, width: int) -> Any:
        """Return the method's own configuration, for images of this size.

        Raises:
            ConfigError: there is no such method or configuration, or an option does not fit.
        """
        known: Mapping[str, GeneratorMethod] = by_command("generators")
        if self.method not in known:
            raise ConfigError(f"there is no generator {self.method!r}", f"Choose from {', '.join(known)}.")
        values = laid_over(self._said(), laid_over(self.model, {"height": height, "width": width}))
        return config_from(known[self.method].config, values, "generator.model")

    def _said(self) -> dict[str, Any]:
        """Return what the configuration that it names says of the model."""
        if not self.config:
            return {}
        try:
            path = find_config(self.config, Path(), CONFIGS)
        except ConfigError as error:
            what = f"there is no configuration {self.config!r} for the generator"
            raise ConfigError(what, error.remedy) from None
        said: dict[str, Any] = read_config_file(path, CONFIGS).options.get("model", {})
        return said


@dataclass(frozen=True)
class SegmenterConfig(Settings, section="segmenter"):
    """A segmenter of the study.

    Attributes:
        method: its word behind `rarescene segment`.
        model: its options.
    """

    method: str
    model: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SetConfig(Settings, section="set"):
    """A set that joins the training of an arm.

    Attributes:
        kind: `masks`: images for the training masks; `compose`: rare classes put into training frames;
            `requests`: pairs that are asked for, by a generator of pairs, or of maps and images; `pseudo`:
            all of `data.unlabelled`, labelled where a segmenter of `judge_seed`, trained on the real frames
            alone, is sure.
        count: how many scenes, but of `pseudo`.
        per_real: how many for each real training scene, in place of `count`.
        sampling: how they are sampled; by default as the study says.
        composition: where a region may be, of `compose`.
        insertion: how it is drawn into the frame, likewise.
        into: `pseudo`: rare classes are put into the frames of such a set, and not into training frames, of
            `compose`.
        sure: the least probability of a label of such a set.
        judge: whether a region counts only if a segmenter of `judge_seed`, trained on the real frames alone,
            sees it, likewise.
        trust: what becomes of the others.
        vary: flip and rotate the masks of `masks`.
    """

    kind: Literal["masks", "compose", "requests", "pseudo"]
    count: Count | None = None
    per_real: Positive | None = None
    sampling: SamplingConfig | None = None
    composition: CompositionConfig = field(default_factory=CompositionConfig)
    insertion: InsertionConfig = field(default_factory=InsertionConfig)
    into: Literal["pseudo"] | None = None
    sure: Share = SURE
    judge: bool = False
    trust: TrustConfig = field(default_factory=TrustConfig)
    vary: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind == "pseudo":
            given = [name for name in ("count", "per_real", "sampling") if getattr(self, name) is not None]
            if given:
                what = f"set.{given[0]} is for scenes that are generated"
                raise ConfigError(what, "Leave it out: all of data.unlabelled is labelled.")
        elif (self.count is None) == (self.per_real is None):
            raise ConfigError("how many scenes a set has is not clear", "Give one of count and per_real.")
        usual: Mapping[str, Mapping[str, Any]] = {
            "compose": {
                "composition": CompositionConfig(), "insertion": InsertionConfig(), "judge": False,
                "into": None,
            },
            "masks": {"vary": False},
        }  # fmt: skip
        for kind, options in usual.items():
            for name, value in options.items():
                if kind != self.kind and getattr(self, name) != value:
                    raise ConfigError(
                        f"set.{name} is for sets of kind {kind}", f"Set kind: {kind}, or leave it out."
                    )
        if not self.judge and self.trust != TrustConfig():
            raise ConfigError("set.trust speaks of a judge", "Add judge: true, or leave it out.")
        if not self.labels and self.sure != SURE:
            what = "set.sure speaks of pseudo-labels"
            raise ConfigError(what, "Set kind: pseudo or into: pseudo, or leave it out.")

    @property
    def labels(self) -> bool:
        """Whether a segmenter labels frames for it."""
        return "pseudo" in (self.kind, self.into)

    def size(self, real: int) -> int:
        """Return how many scenes the set has beside so many real ones."""
        return self.count if self.count is not None else max(1, round((self.per_real or 0) * real))


@dataclass(frozen=True)
class ArmConfig(Settings, section="arm"):
    """One way to train, in which it differs from all others.

    Attributes:
        strategy: any text of `--strategy`.
        classes: which of the study's rare classes it adds: "rare", all of them; "missed", those that the
            judge misses on the validation part.
        options: options of strategies, by name. A `classes` that is left out is those classes.
        set: the synthetic set that joins, or None.
    """

    strategy: str = "none"
    classes: Literal["rare", "missed"] = "rare"
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    set: SetConfig | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The strategies, one by one."""
        return tuple(word.strip() for word in self.strategy.split(","))

    @property
    def judged(self) -> bool:
        """Whether a segmenter of the judge's seed has a say in it."""
        chosen = self.set
        return self.classes == "missed" or (chosen is not None and (chosen.judge or chosen.labels))

    @property
    def has_share(self) -> bool:
        """Whether the study's shares say how often what a strategy adds is sampled."""
        return any(
            word in SHARES and SHARES[word][0] not in self.options.get(word, {}) for word in self.words
        )


@dataclass(frozen=True)
class EvidenceConfig(Settings):
    """One study: arms × segmenters × seeds, at equal optimiser steps.

    Attributes:
        data: the real data.
        height: of all images.
        width: likewise.
        segmenters: by the name that tables give them; the first one is the judge's, too.
        training: options of the training loop, the same for every arm; what is left out is as suits each
            segmenter.
        seeds: of the segmenters.
        arms: by name; `none` is the baseline.
        against: other arms that all are compared with, too.
        rare: the classes that it is about; by default those that are rare in the training part.
        generator: `shipped`, the folder of a run, or what is to be trained; None where no arm needs one.
        maps: the generator of maps, where requests are asked of a generator of images.
        generator_seeds: seeds of generators and sets, taken in turn by the seeds of the segmenters.
        judge_seed: seed of the segmenter that judges and labels, none of `seeds`.
        sampling: how sets are sampled, and what is generated while a segmenter trains.
        map_sampling: how maps are.
        shares: how often what an arm adds is sampled, as a share of all scenes. Of several, each arm takes
            the one whose first seed has the best mean of the rare classes on the validation part. None: as
            the strategies' own options say.
        recordings: numbers of training recordings, beside all of them, on which everything is repeated.
        recordings_seed: decides which recordings those are; fewer are among more.
        split_by_frame: whether all is repeated under a split that cuts through recordings, to show how much
            of what one would report is leakage.
    """

    data: DataConfig
    height: Side
    width: Side
    segmenters: Mapping[str, SegmenterConfig]
    training: Mapping[str, Any]
    seeds: tuple[Seed, ...]
    arms: Mapping[str, ArmConfig]
    against: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    generator: GeneratorConfig | str | None = None
    maps: GeneratorConfig | str | None = None
    generator_seeds: tuple[Seed, ...] = (0,)
    judge_seed: Seed = 7
    sampling: SamplingConfig = field(default_factory=lambda: SamplingConfig(block=16))
    map_sampling: MapSamplingConfig = field(default_factory=lambda: MapSamplingConfig(block=16))
    shares: tuple[ShareBelowOne, ...] = ()
    recordings: tuple[Count, ...] = ()
    recordings_seed: Seed = 0
    split_by_frame: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, some in (("segmenters", self.segmenters), ("generator_seeds", self.generator_seeds)):
            if not some:
                raise ConfigError(f"{name} is empty", "Name one at least.")
        for name, values in (("seeds", self.seeds), ("shares", self.shares), ("recordings", self.recordings)):
            if len(set(values)) != len(values) or (name == "seeds" and not values):
                raise ConfigError(f"{name} is {list(values)}", "Give different numbers.")
        if self.arms.get(BASELINE) != ArmConfig():
            remedy = f"Add `{BASELINE}: {{}}` to them, without options: all others are compared with it."
            raise ConfigError(f"the arms have no {BASELINE}, or another than the real scenes alone", remedy)
        if strange := [name for name in self.against if name not in self.arms or name == BASELINE]:
            remedy = f"Choose from {', '.join(name for name in self.arms if name != BASELINE) or 'nothing'}."
            raise ConfigError(f"against names {strange[0]!r}", remedy)
        generators = [one for one in (self.generator, self.maps) if isinstance(one, GeneratorConfig)]
        while generators:
            one = generators.pop()
            one.resolved(self.height, self.width)
            generators += one.upon.values()
        for name, arm in self.arms.items():
            try:
                self._check(name, arm)
            except ConfigError as error:
                raise ConfigError(f"arm {name!r}: {error.what}", error.remedy, error.path) from error

    def generator_seed(self, seed: int) -> int:
        """Return the seed of generator and set for a seed of the segmenters."""
        return self.generator_seeds[self.seeds.index(seed) % len(self.generator_seeds)]

    def segmenter(self, name: str) -> tuple[SegmenterMethod, Any, TrainingConfig]:
        """Return a segmenter: the method, its model and its training.

        Raises:
            ConfigError: there is no such segmenter, or an option does not fit.
        """
        known: Mapping[str, SegmenterMethod] = by_command("segmenters")
        chosen = self.segmenters[name]
        if chosen.method not in known:
            raise ConfigError(f"there is no segmenter {chosen.method!r}", f"Choose from {', '.join(known)}.")
        method = known[chosen.method]
        model: Any = config_from(method.config, chosen.model, f"segmenters.{name}.model")
        usual = method.training(model)
        return method, model, config_from(type(usual), {**asdict(usual), **self.training}, "training")

    def shares_of(self, arm: ArmConfig) -> tuple[float | None, ...]:
        """Return the shares that an arm may take; None alone where its own options decide."""
        return (self.shares if arm.has_share else ()) or (None,)

    def options_of(self, arm: ArmConfig, share: float | None, *, real: int, classes: str) -> dict[str, Any]:
        """Return the configuration of each strategy that an arm gives options to, by name.

        Args:
            share: of the scenes that are sampled, for what the strategies add; None for their own options.
            real: number of the real training scenes.
            classes: the rare classes, comma-separated.

        Raises:
            ConfigError: a strategy or an option is not known, or does not fit.
        """
        known, found = by_command("strategies"), dict[str, Any]()
        for word in dict.fromkeys([*arm.words, *arm.options]):
            kind = known[word].config if word in known else None
            if kind is None:
                if word in arm.options:
                    remedy = f"Choose from {', '.join(one for one in known if known[one].config)}."
                    raise ConfigError(f"options names {word!r}, which takes none", remedy)
                continue
            values = dict(arm.options.get(word, {}))
            if share is not None and word in SHARES and word in arm.words:
                option, value = SHARES[word]
                values.setdefault(option, value(share, real))
            one = config_from(kind, values, f"options.{word}")
            if word in arm.words and getattr(one, "classes", None) == "":
                one = replace(one, classes=classes)
            found[word] = one
        return found

    def _check(self, name: str, arm: ArmConfig) -> None:
        """Refuse an arm that could not be trained, as far as the configuration alone can tell."""
        strategies = Strategies.named(
            arm.strategy, self.options_of(arm, self.shares_of(arm)[0], real=1, classes="")
        )
        online = any(method.needs == "generator" for method in strategies.methods)
        generated = arm.set is not None and arm.set.kind != "pseudo"
        if (generated or online) and self.generator is None:
            raise ConfigError("needs a generator", "Say `generator:`, or leave its set out.")
        if arm.set and arm.set.labels and self.data.unlabelled is None:
            what = "needs frames that have no masks"
            raise ConfigError(what, "Say `data.unlabelled:`, or leave its set out.")
        if arm.judged and self.judge_seed in self.seeds:
            what = f"is judged by seed {self.judge_seed}, which is one of its own"
            raise ConfigError(what, "Choose another judge_seed.")
        generator = Path(SHIPPED) if online else None
        for segmenter in self.segmenters:
            method, _, training = self.segmenter(segmenter)
            strategies.check(
                method, training, synthetic=arm.set is not None, generator=generator,
                maps=Path(SHIPPED) if online and self.maps else None, compose="",
            )  # fmt: skip


def read_evidence(path: Path) -> EvidenceConfig:
    """Return the study that a file describes.

    Raises:
        ConfigError: it cannot be read, or says something that does not exist or does not fit.
    """
    options = read_config_file(path, CONFIGS).options
    options.pop("shared", None)  # what several sections refer to
    try:
        return config_from(EvidenceConfig, options)
    except ConfigError as error:
        raise ConfigError(error.what, error.remedy, error.path or path) from error
