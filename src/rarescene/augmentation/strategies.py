"""Which strategies a segmenter is trained with: what each needs, and whether it is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from rarescene.augmentation.config import (
    AdaptiveSamplingConfig,
    ClassicConfig,
    DuplicateConfig,
    GaudaConfig,
    OfflineConfig,
)
from rarescene.foundation.console import say
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes.data import Data, class_ids
from rarescene.scenes.pool import ScenePool
from rarescene.segmenters.config import PHiSegConfig, SegmenterConfig, UNetEnsembleConfig
from rarescene.training.config import TrainingConfig
from rarescene.training.ranks import is_main_process, spare_device

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from rarescene.augmentation import Together
    from rarescene.foundation.protocols import Strategy
    from rarescene.scenes import Request
    from rarescene.sources.pair_source import PairSource

StrategyName = Literal["none", "classic", "duplicate", "adaptive", "offline", "gauda"]
ONLINE = ("adaptive", "gauda")


@dataclass(frozen=True)
class StrategyOptions:
    """The strategies of a run, in the order in which they act, and the settings of each."""

    names: tuple[StrategyName, ...]
    classes: str
    copies: int | None
    offline: OfflineConfig
    classic: ClassicConfig
    adaptive: AdaptiveSamplingConfig
    gauda: GaudaConfig

    @property
    def online(self) -> tuple[StrategyName, ...]:
        """Those that decide at validations."""
        return tuple(name for name in self.names if name in ONLINE)

    @property
    def uncertain(self) -> tuple[StrategyName, ...]:
        """Those that are led by uncertainty."""
        return tuple(name for name in self.online if name == "gauda" or self.adaptive.by == "uncertainty")

    def config(self, name: StrategyName) -> Any:
        """Return the settings of one strategy."""
        match name:
            case "none":
                return None
            case "duplicate":
                return DuplicateConfig(count=self.copies)
            case _:
                return getattr(self, name)

    def settings(self) -> dict[str, Any]:
        """Return the settings of the strategies that have any, by name, as JSON values for a run record."""
        return {name: asdict(self.config(name)) for name in self.names if self.config(name) is not None}

    def check(
        self,
        segmenter: str,
        model: SegmenterConfig,
        training: TrainingConfig,
        *,
        synthetic: bool,
        generator: Path | None,
        maps: Path | None,
    ) -> None:
        """Refuse what does not fit together, of the options alone.

        Args:
            segmenter: its name.
            model: its configuration.
            training: its training.
            synthetic: whether synthetic sets were given.
            generator: the run of the generator that was given, or None.
            maps: that of the map generator, or None.

        Raises:
            ConfigError: an option lacks its strategy or a strategy its option; a segmenter without posterior
                shall be led by its uncertainty; or no validation comes at which a strategy could decide.
        """
        given = {
            "offline": ("synthetic", "SET", synthetic),
            "gauda": ("generator", "RUN", generator is not None),
        }
        for name, (option, what, is_given) in given.items():
            if is_given != (name in self.names):
                lacks = "takes no" if is_given else "needs a"
                thing = "synthetic set" if option == "synthetic" else option
                remedy = f"Give --strategy {name} and --{option} {what} together, or neither."
                raise ConfigError(f"strategy {','.join(self.names)!r} {lacks} {thing}", remedy)
        for name, option, changed in self._changed():
            if changed and name not in self.names:
                remedy = f"Add {name} to --strategy, or leave {option} out."
                raise ConfigError(f"strategy {','.join(self.names)!r} takes no {option}", remedy)
        if self.offline.seed != OfflineConfig.seed:
            remedy = "Leave it out, and give --seed, which all that is drawn at random follows."
            raise ConfigError("--offline.seed gives way to the seed of the run", remedy)
        if maps is not None and generator is None:
            remedy = "Add --strategy gauda and --generator RUN, or leave --maps out."
            raise ConfigError("--maps draws masks for an image generator, and none is given", remedy)
        if self.uncertain and not isinstance(model, PHiSegConfig | UNetEnsembleConfig):
            remedy = "Train phiseg or unet-ensemble"
            remedy += ", or leave adaptive.by at score." if self.uncertain == ("adaptive",) else "."
            what = f"{self.uncertain[0]} is led by uncertainty, and a {segmenter} has no posterior to tell it"
            raise ConfigError(what, remedy)
        self._check_order()
        if self.online and not 0 < training.validate_every < training.steps:
            every = f"every {training.validate_every} steps" if training.validate_every else "never"
            names = " and ".join(self.online)
            what = f"{names} would decide nothing: the run has {training.steps} steps and validates {every}"
            raise ConfigError(what, "Set training.validate_every above 0 and below training.steps.")

    def _changed(self) -> list[tuple[StrategyName, str, bool]]:
        """Return each strategy with an option of its own, and whether that is not as it is by default."""
        named: tuple[StrategyName, ...] = ("offline", "classic", "adaptive", "gauda")
        settings = {name: getattr(self, name) for name in named}
        return [
            ("duplicate", "--classes", self.classes != ""),
            ("duplicate", "--copies", self.copies is not None),
            *((name, f"--{name}.*", config != type(config)()) for name, config in settings.items()),
        ]

    def _check_order(self) -> None:
        """Refuse what adaptive sampling could not weigh; it weighs nothing before the first validation."""
        if "adaptive" not in self.names:
            return
        later = self.names[self.names.index("adaptive") + 1 :]
        for name in ("duplicate", "offline"):
            if name in later:
                what = f"adaptive weighs the scenes that there are, and {name} adds some after it"
                raise ConfigError(what, f"Name {name} before adaptive.")
        if "offline" in self.names and self.offline.probability is not None:
            what = "offline with a probability and adaptive both weigh the scenes"
            raise ConfigError(what, "Leave offline.probability out, or one of the two strategies.")

    def check_validation(self, source: Data, scenes: int | None) -> None:
        """Raise `ConfigError` if a strategy decides by validation scenes and there are none.

        Args:
            source: the data.
            scenes: how many validation scenes are looked at, or None for all.
        """
        least = 1 if self.online else 0
        if scenes is not None and scenes < least:
            what = f"validation_scenes is {scenes}"
            raise ConfigError(what, f"Give a whole number from {least}, or leave it out for all.")
        if self.online and not source.split.validation:
            what = f"{' and '.join(self.online)} decides by validation scenes, and the split leaves none"
            raise ConfigError(what, "Choose --split or --fractions with a validation part.")


def strategy_names(text: str) -> tuple[StrategyName, ...]:
    """Return the strategies named in "gauda,classic". Raises `ConfigError` if that is not understood."""
    known = get_args(StrategyName)
    names: list[Any] = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no strategy {name!r}", f"Choose from {', '.join(known)}.")
        if names.count(name) > 1:
            raise ConfigError(f"--strategy names {name} twice", "Name each strategy once.")
    if "none" in names and len(names) > 1:
        raise ConfigError(f"--strategy {text} is none and something", "Leave none out, or the others.")
    return tuple(names)


def placed(gauda: GaudaConfig) -> tuple[GaudaConfig, torch.device | None]:
    """Return the settings as this machine can follow them, and where pairs are drawn.

    What is drawn "beside" the training is drawn on a GPU that no process here trains on. Without one it is
    drawn between the steps instead. The device is None where it is that of the training.
    """
    if gauda.drawing.when != "beside":
        return gauda, None
    spare = spare_device()
    if spare is None:
        if is_main_process():
            say("note: no GPU is left to draw beside the training; pairs are drawn between its steps")
        gauda = replace(gauda, drawing=replace(gauda.drawing, when="between_steps"))
    return gauda, spare


def build_strategy(
    options: StrategyOptions,
    pool: ScenePool,
    source: Data,
    drawer: PairSource[Request] | None,
    predict: Callable[[Tensor], Tensor],
    seed: int,
) -> Together:
    """Return the strategies as one, in their order.

    Args:
        options: which they are, and their settings.
        pool: all scenes that may be drawn from.
        source: the real data.
        drawer: draws the pairs of GAUDA; None without it.
        predict: class probabilities by the segmenter under training, to which drawn pairs may be held.
        seed: of the run; what the strategies draw at random follows it.
    """
    from rarescene.augmentation import Together

    return Together(
        {name: _strategy(name, options, pool, source, drawer, predict, seed) for name in options.names}
    )


def _strategy(
    name: StrategyName,
    options: StrategyOptions,
    pool: ScenePool,
    source: Data,
    drawer: PairSource[Request] | None,
    predict: Callable[[Tensor], Tensor],
    seed: int,
) -> Strategy:
    from rarescene.augmentation import AdaptiveSampling, Classic, Duplicate, NoAugmentation, Offline
    from rarescene.scenes import class_statistics
    from rarescene.training import agreed

    table, real = source.scenes.classes, pool.caches[0]
    match name:
        case "none":
            return NoAugmentation()
        case "classic":
            return Classic(options.classic, table.ignore_index)
        case "duplicate":
            # What is rare is asked of the training recordings alone.
            rare = (entry.name for entry in class_statistics(real.subset(source.split.train)).rare)
            targets = class_ids(table, options.classes) or table.ids_of(rare)
            return Duplicate(replace(options.config(name), seed=seed), real.class_pixels > 0, targets)
        case "offline":
            return Offline(replace(options.offline, seed=seed), range(len(real), len(pool)))
        case "adaptive":
            return AdaptiveSampling(options.adaptive, pool.presence, table, agree=agreed)
        case "gauda":
            assert drawer is not None
            return _gauda(options.gauda, drawer, predict, seed)


def _gauda(
    config: GaudaConfig, drawer: PairSource[Request], predict: Callable[[Tensor], Tensor], seed: int
) -> Strategy:
    """Return GAUDA; to ask for a class, a real training label set that shows it is taken (section 3.3)."""
    from rarescene.augmentation import Gauda
    from rarescene.training import agreed

    table = drawer.table
    shown = {class_id for request in drawer.pool.requests for class_id in request.ids}
    unseen = [class_id for class_id in range(len(table)) if class_id not in shown]
    if unseen and is_main_process():
        names = ", ".join(table.names[class_id] for class_id in unseen)
        say(f"note: the generator was never shown {names}; that is not asked for")
    pools = {class_id: drawer.pool.showing([class_id]) for class_id in sorted(shown)}

    def ask(class_id: int, seed: int) -> Request:
        return drawer.supported(pools[class_id].draw(seed, 0))  # by that, pairs are judged

    settled = replace(
        config,
        exclude=tuple(sorted({*config.exclude, *unseen})),
        seed=derive_seed(seed, "gauda", config.seed),
    )
    return Gauda(settled, table, ask, drawer.generate, predict=predict, agree=agreed)
