"""The strategies of a run: which they are, what each needs, whether it is there, and all of them as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.methods import Needs, SegmenterMethod, StrategyMethod, Surroundings
from rarescene.foundation.plugins import by_command, package_of
from rarescene.scenes.data import Data
from rarescene.training.config import TrainingConfig

if TYPE_CHECKING:
    from rarescene.augmentation import Composed

OPTION_OF: Mapping[Needs, tuple[str, str]] = {
    "synthetic": ("--synthetic SET", "synthetic set"),
    "generator": ("--generator RUN", "generator"),
}
"""What a strategy may need: the option that brings it, and how messages call it."""


@dataclass(frozen=True)
class Strategies:
    """The strategies of a run, in the order in which they act, and the options of each that has any.

    Attributes:
        methods: their declarations.
        options: their configurations by name.
    """

    methods: tuple[StrategyMethod, ...]
    options: Mapping[str, Any]

    @classmethod
    def named(cls, text: str, options: Mapping[str, Any]) -> Strategies:
        """Return the strategies that are named in "gauda,classic".

        Args:
            text: names, separated by commas.
            options: configurations by name, also of strategies that are not named.

        Raises:
            ConfigError: a name is not known or comes twice, or options were given for none that is named.
        """
        known: Mapping[str, StrategyMethod] = by_command("strategies")
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in known:
                raise ConfigError(f"there is no strategy {name!r}", f"Choose from {', '.join(known)}.")
            if names.count(name) > 1:
                raise ConfigError(f"--strategy names {name} twice", "Name each strategy once.")
        if "none" in names and len(names) > 1:
            raise ConfigError(f"--strategy {text} is none and something", "Leave none out, or the others.")
        for name, given in options.items():
            if name not in names and given != type(given)():
                remedy = f"Add {name} to --strategy, or leave --{name}.* out."
                raise ConfigError(f"strategy {','.join(names)!r} takes no --{name}.*", remedy)
        chosen = tuple(known[name] for name in names)
        own = {
            method.command: options.get(method.command, method.config())
            for method in chosen
            if method.config is not None
        }
        return cls(chosen, own)

    @property
    def text(self) -> str:
        """The names, as on the command line."""
        return ",".join(method.command for method in self.methods)

    @property
    def online(self) -> bool:
        """Whether any decides at validations."""
        return any(method.online for method in self.methods)

    @property
    def beside(self) -> bool:
        """Whether any wants a device of its own."""
        return any(method.beside(self._options(method)) for method in self.methods)

    @property
    def block(self) -> int | None:
        """The most pairs that any generates at once; None where none says so."""
        sizes = [method.block(self._options(method)) for method in self.methods]
        return max((size for size in sizes if size is not None), default=None)

    def settings(self) -> dict[str, Any]:
        """Return the options, by name, as JSON values for a run record; and who brings what is not ours."""
        told = {
            method.command: {**(asdict(config) if config else {}), **package_of(method)}
            for method in self.methods
            for config in [self._options(method)]
        }
        return {name: said for name, said in told.items() if said}

    def check(
        self,
        segmenter: SegmenterMethod,
        training: TrainingConfig,
        *,
        synthetic: bool,
        generator: Path | None,
        maps: Path | None,
        compose: str,
    ) -> None:
        """Refuse what does not fit together, of the options alone.

        Args:
            segmenter: that is trained.
            training: its training.
            synthetic: whether synthetic sets were given.
            generator: the run of the generator that was given, or None.
            maps: that of the map generator, or None.
            compose: the classes that the generator draws into training frames; empty for whole pairs.

        Raises:
            ConfigError: an option lacks its strategy or a strategy its option; a segmenter without posterior
                shall be led by its uncertainty; two strategies weigh the scenes, or one adds to them after
                they are weighed; or no validation comes at which a strategy could decide.
        """
        for method in self.methods:
            method.check(self._options(method))
        given: Mapping[Needs, bool] = {"synthetic": synthetic, "generator": generator is not None}
        for need, (option, thing) in OPTION_OF.items():
            needed = any(method.needs == need for method in self.methods)
            if given[need] != needed:
                takers = [name for name, method in by_command("strategies").items() if method.needs == need]
                remedy = f"Give --strategy {' or '.join(takers)} and {option} together, or neither."
                lacks = "takes no" if given[need] else "needs a"
                raise ConfigError(f"strategy {self.text!r} {lacks} {thing}", remedy)
        if maps is not None and generator is None:
            remedy = "Add --strategy gauda and --generator RUN, or leave --maps out."
            raise ConfigError("--maps generates masks for an image generator, and none is given", remedy)
        if compose and generator is None:
            remedy = "Add --strategy gauda and --generator RUN, or leave --compose out."
            raise ConfigError(
                "--compose has a generator draw into training frames, and none is given", remedy
            )
        if compose and maps is not None:
            remedy = "Leave --maps out, or leave --compose out for whole pairs."
            raise ConfigError("--compose takes its masks from training frames, not from --maps", remedy)
        self._check_uncertainty(segmenter)
        self._check_weights()
        if self.online and not 0 < training.validate_every < training.steps:
            every = f"every {training.validate_every} steps" if training.validate_every else "never"
            names = " and ".join(method.command for method in self.methods if method.online)
            what = f"{names} would decide nothing: the run has {training.steps} steps and validates {every}"
            raise ConfigError(what, "Set training.validate_every above 0 and below training.steps.")

    def _check_uncertainty(self, segmenter: SegmenterMethod) -> None:
        if segmenter.bayesian:
            return
        for method in self.methods:
            if method.uncertain(self._options(method)):
                able = [name for name, one in by_command("segmenters").items() if one.bayesian]
                remedy = f"Train {' or '.join(able)}"
                if not method.uncertain(method.config()):  # type: ignore[misc]  # it has options, so a config
                    remedy += f", or leave {method.command}.by at {method.config().by}"  # type: ignore[misc]
                what = f"{method.command} is led by uncertainty, and a {segmenter.command} has no posterior"
                raise ConfigError(f"{what} to tell it", f"{remedy}.")

    def _check_weights(self) -> None:
        """Refuse what could not be weighed; adaptive sampling weighs nothing before the first validation."""
        weighing = [method for method in self.methods if method.weighs(self._options(method))]
        if len(weighing) > 1:
            names = " and ".join(method.command for method in weighing)
            what = f"{names}, with these options, both weigh the scenes"
            raise ConfigError(what, "Leave one of them out, or the options by which it weighs them.")
        for method in weighing:
            for later in self.methods[self.methods.index(method) + 1 :]:
                if later.extends:
                    what = (
                        f"{method.command} weighs the scenes that there are, and {later.command} adds some "
                        "after it"
                    )
                    raise ConfigError(what, f"Name {later.command} before {method.command}.")

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
            names = " and ".join(method.command for method in self.methods if method.online)
            what = f"{names} decides by validation scenes, and the split leaves none"
            raise ConfigError(what, "Choose --split or --fractions with a validation part.")

    def build(self, around: Surroundings) -> Composed:
        """Return all of them as one, in their order."""
        from rarescene.augmentation import Composed

        return Composed(
            {method.command: method.build(self._options(method), around) for method in self.methods}
        )

    def _options(self, method: StrategyMethod) -> Any:
        return self.options.get(method.command)
