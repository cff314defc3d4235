"""The parser of a command, from the signature and the docstring of its function, and its help."""

from __future__ import annotations

import argparse
import inspect
import textwrap
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

from rarescene.foundation.config_files import read_config_file
from rarescene.foundation.methods import GeneratorMethod, SegmenterMethod
from rarescene.foundation.plugins import by_command

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

CONFIGS = Path(__file__).parents[1] / "recipes" / "configs"

FIRST = ("data", "out")
"""What a help tells first, since nearly every command needs it."""


class Command(NamedTuple):
    """One command: what it does, where its function is, and an example that works.

    Attributes:
        summary: one line for the overview.
        module: of the function, below `rarescene`.
        function: what runs.
        example: for the help.
        method: the declared method that the function is given, for `train NAME` and `segment NAME`.
    """

    summary: str
    module: str
    function: str
    example: str
    method: GeneratorMethod | SegmenterMethod | None = None


def options_of_strategies() -> dict[str, type]:
    """Return the configuration of each strategy that has options, by its word."""
    return {word: one.config for word, one in by_command("strategies").items() if one.config is not None}


def build_parser(
    name: str, command: Command, function: Callable[..., int | None], *, whole: bool = False
) -> ArgumentParser:
    """Return the parser of a command, made from its function's signature and docstring.

    Args:
        name: of the command, as it is written.
        command: what is known of it.
        function: what runs.
        whole: whether its help tells the options of its parts too, such as `--training.steps`.
    """
    import yaml
    from jsonargparse import ActionConfigFile, ArgumentParser, DefaultHelpFormatter

    untold: list[str] = []

    class Help(DefaultHelpFormatter):
        """Says `path` where the library says `<class 'Path'>`, and breaks no `--some-option` over lines."""

        def add_argument(self, action: argparse.Action) -> None:
            if action.dest.partition(".")[0] not in untold:
                super().add_argument(action)

        def _fill_text(self, text: str, width: int, indent: str) -> str:
            return "\n\n".join(
                textwrap.fill(
                    " ".join(paragraph.split()), width, initial_indent=indent, subsequent_indent=indent,
                    break_on_hyphens=False, break_long_words=False,
                )
                for paragraph in text.split("\n\n")
            )  # fmt: skip

        def _expand_help(self, action: argparse.Action) -> str:
            return str(super()._expand_help(action)).replace("<class 'Path'>", "path")

    class Config(ActionConfigFile):  # type: ignore[misc]
        """Takes a file together with its bases, as text in which every value keeps its type."""

        def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
            text = yaml.safe_dump(read_config_file(Path(values), CONFIGS).options, default_style='"')
            with chdir(Path(values).parent):  # a section may name a file beside this one
                super().__call__(parser, namespace, text, option)

    method = command.method
    text = (inspect.getdoc(function) or "").split("\n\nArgs:")[0]
    bound = {"method"} & set(inspect.signature(function).parameters)
    if bound and method is not None:
        note = getattr(method, "note", "")
        text = f"{method.summary[0].upper()}{method.summary[1:]}. {note}\n\n{text}"
    parser = ArgumentParser(
        prog=f"rarescene {name}",
        description=text,
        epilog=f"example: {command.example}",
        allow_abbrev=False,
        exit_on_error=False,
        formatter_class=Help,
    )
    if not reads_config(function):
        parser.add_argument(
            "--config",
            action=Config,
            help="YAML file with any of these options, perhaps over a `base:`, or the name of a shipped one.",
        )
    hints = get_type_hints(function)
    several = [name for name, hint in hints.items() if hint == list[Path]]
    for name in several:  # `RUN RUN …` rather than a list in brackets
        parser.add_argument(name, nargs="+", type=Path, help="folders of runs, one or more")
    skip: set[str | int] = {*several, *bound}
    if bound and method is not None:
        skip |= {"model", "training", "strategies"}
        model = method.config()
        parser.add_argument("--model", type=method.config, default=model, help="sizes and losses")
        if isinstance(method, SegmenterMethod):
            training = method.training(model)
            help_of = "the training loop; the same for all runs that are compared"
            parser.add_argument("--training", type=type(training), default=training, help=help_of)
            for word, config in options_of_strategies().items():
                parser.add_argument(
                    f"--{word}",
                    type=config,
                    default=config(),
                    help=f"{word}: {by_command('strategies')[word].summary}",
                )
    parser.add_function_arguments(function, as_group=False, as_positional=True, skip=skip)
    _arrange(parser)
    if not whole and (parts := parts_of(parser)):
        untold += parts
        named = ", ".join(f"--{part}.*" for part in parts)
        parser.epilog = f"--help-all tells the options of its parts, too: {named}.\n\n{parser.epilog}"
    return parser


def reads_config(function: Callable[..., int | None]) -> bool:
    """Return whether a command reads its configuration itself, which holds no options of the command line."""
    return "config" in inspect.signature(function).parameters


def switches_of(parser: ArgumentParser) -> frozenset[str]:
    """Return the options that are true where they stand alone."""
    return frozenset(
        option
        for action in parser._actions
        if getattr(action, "_typehint", None) is bool
        for option in action.option_strings
    )


def parts_of(parser: ArgumentParser) -> list[str]:
    """Return the options that have options of their own, such as `training`."""
    return list(dict.fromkeys(one.dest.partition(".")[0] for one in parser._actions if "." in one.dest))


def _arrange(parser: ArgumentParser) -> None:
    """Let the help tell the options in the order in which they are needed, and how the command begins."""
    options, positionals = parser._optionals._group_actions, parser._positionals._group_actions
    place = {name: order for order, name in enumerate(FIRST)}
    options.sort(key=lambda action: (place.get(action.dest, len(FIRST)), not action.required))
    for switch in switches_of(parser):
        parser._option_string_actions[switch].metavar = "[true|false]"
    places = [f"{one.dest} …" if one.nargs == "+" else str(one.metavar or one.dest) for one in positionals]
    needed = [f"{one.option_strings[0]} {one.dest.upper()}" for one in options if one.required]
    usage = " ".join([parser.prog, *places, *needed, "[options]"])
    parser.usage = textwrap.fill(usage, 72, subsequent_indent=" " * 11, break_on_hyphens=False)
