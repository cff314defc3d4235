"""The command line: parse, call, show. Each command is one function of `commands/` or of a recipe.

The arguments of a command are those of its function: what stands before the `*` is positional, the rest are
options, and dataclasses become nested options and sections of a YAML file. Only the module of the chosen
command is imported, so that `rarescene --help` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import inspect
import io
import os
import platform
import re
import shlex
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_type_hints

from rich.console import Console
from rich.markup import escape

from rarescene.foundation.config_files import ConfigFile, find_config, read_config_file
from rarescene.foundation.configs import typed
from rarescene.foundation.console import say_once
from rarescene.foundation.errors import ConfigError, RareSceneError, machine_fault
from rarescene.foundation.methods import GeneratorMethod, SegmenterMethod
from rarescene.foundation.plugins import by_command
from rarescene.options.parser import (
    CONFIGS,
    Command,
    build_parser,
    options_of_strategies,
    reads_config,
    switches_of,
)
from rarescene.options.slips import meant

WHOLE_HELP = "--help-all"

FAMILIES: Mapping[str, Literal["generators", "segmenters"]] = {"train": "generators", "segment": "segmenters"}
"""Commands of two words; the second one is any method that is declared (`foundation.plugins`)."""

COMMANDS: dict[str, Command] = {
    "demo": Command(
        "the whole road on phantom scenes, in minutes, with a report",
        "recipes.demo", "demo", "rarescene demo --out demo",
    ),
    "phantom": Command(
        "write phantom scenes to a folder",
        "commands.phantom", "phantom", "rarescene phantom scenes --videos 12 --frames 80 --size 128",
    ),
    "check": Command(
        "list all faults of a data set at once",
        "commands.check", "check", "rarescene check cholecseg8k:CholecSeg8k",
    ),
    "stats": Command(
        "per class: share of frames, area, recordings; which are rare, and why",
        "commands.stats", "stats", "rarescene stats phantom:videos=12,frames=80,size=64",
    ),
    "maps": Command(
        "generate segmentation maps for requests, and check them",
        "commands.maps", "maps",
        'rarescene maps runs/maps --prompt "cystic duct: one, centre; grasper: two, upper right" --count 8 '
        "--out generated",
    ),
    "synthesize": Command(
        "generate synthetic pairs that show the classes asked for",
        "commands.synthesize", "synthesize",
        'rarescene synthesize runs/casdm --masks folder:scenes --classes "cystic duct,hepatic vein" '
        "--count 500 --out pairs",
    ),
    "pseudolabel": Command(
        "label frames without masks where a segmenter is sure",
        "commands.pseudolabel", "pseudolabel", "rarescene pseudolabel runs/without frames --out labelled",
    ),
    "curate": Command(
        "keep the best synthetic pairs, and show what was dropped and why",
        "commands.curate", "curate",
        "rarescene curate pairs --segmenter runs/without --keep 0.8 --out kept",
    ),
    "predict": Command(
        "masks and overlays for a user's own frames",
        "commands.predict", "predict", "rarescene predict runs/with frames --out predictions",
    ),
    "evaluate": Command(
        "per-class IoU and Dice on held-out recordings, with intervals",
        "commands.evaluate", "evaluate", "rarescene evaluate runs/with --data folder:scenes",
    ),
    "score": Command(
        "the same of masks that any other model predicted, such as nnU-Net",
        "commands.score", "score",
        "rarescene score nnunet_predictions --data folder:scenes --label nnU-Net --out runs/nnunet",
    ),
    "coherence": Command(
        "do image and mask of synthetic pairs belong together? RO, SO, and copies",
        "commands.coherence", "coherence", "rarescene coherence pairs --real runs/without --out coherence",
    ),
    "realism": Command(
        "do synthetic images look like real ones? Frechet and kernel distance, MS-SSIM",
        "commands.realism", "realism", "rarescene realism pairs --inception inception-2015-12-05.pt",
    ),
    "compare": Command(
        "the table of strategies: means, intervals, effect sizes",
        "commands.compare", "compare", "rarescene compare runs/without runs/with",
    ),
    "export nnunet": Command(
        "write real and synthetic scenes as raw data of nnU-Net v2",
        "commands.export", "export_nnunet",
        "rarescene export nnunet --data folder:scenes --synthetic pairs --out nnUNet_raw/Dataset501_Phantom",
    ),
    "export coco": Command(
        "write real and synthetic scenes as COCO instances and COCO panoptic",
        "commands.export", "export_coco",
        'rarescene export coco --data folder:scenes --things "grasper,l-hook electrocautery" --out coco',
    ),
    "export huggingface": Command(
        "write real and synthetic scenes for Hugging Face `datasets`",
        "commands.export", "export_huggingface",
        "rarescene export huggingface --data folder:scenes --synthetic pairs --out hub",
    ),
    "report": Command(
        "one self-contained page about several runs",
        "commands.report", "report", "rarescene report runs/without runs/with --out report.html",
    ),
    "benchmark": Command(
        "does it help? every arm of a study at equal steps, with a verdict",
        "recipes.evidence.benchmark", "benchmark",
        "rarescene benchmark --config evidence-phantom --out runs/evidence",
    ),
    "reproduce": Command(
        "a table or a chart of a paper, beside the paper's own",
        "recipes.reproduce", "reproduce", "rarescene reproduce casdm-table2 --scale tiny",
    ),
}  # fmt: skip


@cache
def commands() -> Mapping[str, Command]:
    """Return all commands by name: those of the house, and one for each method that can be trained."""
    found: dict[str, Command] = {}
    for name, command in COMMANDS.items():
        if name == "maps":  # what is trained stands before what needs it
            found |= _of_methods("train")
        if name == "predict":
            found |= _of_methods("segment")
        found[name] = command
    return found


def _of_methods(family: str) -> dict[str, Command]:
    made = {}
    for word, method in by_command(FAMILIES[family]).items():
        reference = method.train.reference if isinstance(method, GeneratorMethod) else SEGMENT
        module, _, function = reference.partition(":")
        example = method.example or f"rarescene {family} {word} --data folder:scenes --out runs/{word}"
        made[f"{family} {word}"] = Command(method.summary, module, function, example, method)
    return made


SEGMENT = "rarescene.commands.segment:segment"
_ERRORS = Console(stderr=True, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 1 where a check found faults; 2 where something must be mended, and the message says how; 70 where
        rarescene itself is at fault, and a log has the details; 128 and its number where a signal stopped it.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what the terminal's encoding cannot show
    say_once.cache_clear()
    try:
        with _terminated():
            return _run(words)
    except RareSceneError as error:
        return _tell(error)
    except KeyboardInterrupt as error:
        _ERRORS.print(
            "\nstopped; what was written before is whole, and commands with --resume go on from there"
        )
        return error.args[0] if error.args else 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read it is gone
        return 128 + signal.SIGPIPE
    except Exception as error:
        fault = machine_fault(error)
        return _tell(fault) if fault is not None else _unexpected(error, words)


def _run(words: list[str]) -> int:
    """Run one command."""
    if not words or words[0] in ("-h", "--help"):
        _overview()
        return 0
    if words[0] == "--version":
        from rarescene import __version__

        print(f"rarescene {__version__}")
        return 0
    name, rest = _choose(words)
    function, values = parse(name, rest)
    return int(function(**values) or 0)


@contextmanager
def _terminated() -> Iterator[None]:
    """Let SIGTERM, which a batch system sends, say and do what Ctrl+C does."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(error: RareSceneError) -> int:
    """Print what is wrong, and the remedy."""
    where = f"{error.path}: " if error.path is not None else ""
    _ERRORS.print(
        f"[bold red]error[/] {escape(where + error.what)}\n[bold]remedy[/] {escape(error.remedy)}",
        soft_wrap=True,
    )
    return 2


def _unexpected(error: Exception, words: Sequence[str]) -> int:
    """Print one line about an error of the program's own, and keep the rest in a file."""
    handle, log = tempfile.mkstemp(prefix="rarescene-", suffix=".log", text=True)
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"rarescene {shlex.join(words)}\n{platform.platform()}, Python {sys.version}\n\n")
        file.writelines(traceback.format_exception(error))
    what = f"{type(error).__name__}: {' '.join(str(error).split())}"
    _ERRORS.print(
        f"[bold red]error[/] unexpected, a fault of rarescene ({escape(what[:200])})\n"
        f"[bold]remedy[/] Please report it, with {escape(log)}",
        soft_wrap=True,
    )
    return 70


def parse(name: str, words: Sequence[str]) -> tuple[Callable[..., int | None], dict[str, object]]:
    """Return the function of a command and the values that the words after it give its parameters.

    Raises:
        ConfigError: the words do not fit, or a configuration file is unusable.
    """
    command = commands()[name]
    module = command.module if command.method else f"rarescene.{command.module}"
    function: Callable[..., int | None] = getattr(importlib.import_module(module), command.function)
    parser = build_parser(name, command, function, whole=WHOLE_HELP in words)
    if WHOLE_HELP in words:
        parser.print_help()
        raise SystemExit(0)
    tidy, files = _shipped_configs(_tidy(words, switches_of(parser)))
    configs = [read_config_file(path, CONFIGS) for path in files]
    try:
        given = parser.parse_args(tidy)
        _check_values(name, function, given)
        values = dict(vars(parser.instantiate(given)))
    except ConfigError as error:
        named = error.what.partition(" is ")[0]
        raise ConfigError(error.what, error.remedy, error.path or _blamed(f"'{named}'", configs)) from error
    except argparse.ArgumentError as error:
        what = " ".join(str(error).split())
        remedy = f"`rarescene {name} {WHOLE_HELP}` lists the options; for example: {command.example}"
        remedy = " ".join([*meant(what, list(parser._option_string_actions)), remedy])
        raise ConfigError(what, remedy, _blamed(what, configs)) from error
    if not reads_config(function):
        values.pop("config")
    if "method" in inspect.signature(function).parameters:
        values["method"] = command.method
    if isinstance(command.method, SegmenterMethod):
        values["strategies"] = {word: values.pop(word) for word in options_of_strategies()}
    return function, values


def _check_values(name: str, function: Callable[..., int | None], given: Any) -> None:
    """Refuse values that annotations do not allow; the option is named with its sections.

    The parser's library keeps the types of parameters, and of those behind `**options`, but not their bounds.
    """
    from jsonargparse._parameter_resolvers import get_signature_parameters

    method = commands()[name].method
    hints = {
        one.name: get_type_hints(one.component, include_extras=True)[one.name]
        for one in get_signature_parameters(function, None)
    }
    hints |= {} if method is None else {"model": method.config, **options_of_strategies()}
    for option, hint in hints.items():
        if (value := given.get(option)) is not None:
            typed(hint, value, option)


def _choose(words: list[str]) -> tuple[str, list[str]]:
    """Split the words into the command's name, of one word or two, and its arguments."""
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in commands():
            return name, words[length:]
    families = [name for name in commands() if name.split()[0] == words[0]]
    if families:
        if len(words) < 2 or words[1] in ("-h", "--help"):
            _overview(families)
            raise SystemExit(0)
        known = ", ".join(name.split()[1] for name in families)
        raise ConfigError(f"`rarescene {words[0]}` knows no {words[1]!r}", f"It knows: {known}.")
    close = difflib.get_close_matches(words[0], commands(), n=1)
    hint = f"Did you mean `rarescene {close[0]}`?" if close else "`rarescene --help` lists the commands."
    raise ConfigError(f"there is no command {words[0]!r}", hint)


def _tidy(words: Sequence[str], switches: Collection[str]) -> list[str]:
    """Let `--group-by` and `--group_by` be one option, and a switch stand alone or before true or false."""
    tidy: list[str] = []
    for word in words:
        option, equals, value = word.partition("=")
        if word.lower() in ("true", "false") and tidy and tidy[-1] in switches:
            tidy[-1] += f"={word.lower()}"
        elif word.startswith("--"):
            tidy.append("--" + option[2:].replace("-", "_") + equals + value)
        else:
            tidy.append(word)
    return [f"{word}=true" if word in switches else word for word in tidy]


def _shipped_configs(words: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Let `--config tiny` name a shipped configuration; return the words, and the files that are read."""
    found, files = [], []
    for place, word in enumerate(words):
        option, equals, value = word.partition("=")
        follows = place > 0 and words[place - 1] == "--config"
        given = word if follows else value if option == "--config" and equals else None
        if given is None:
            found.append(word)
            continue
        path = find_config(given, Path(), CONFIGS)
        files.append(path)
        found.append(str(path) if follows else f"--config={path}")
    return found, files


def _blamed(what: str, configs: Sequence[ConfigFile]) -> Path | None:
    """Return the configuration file that says the option which a message names, if there is one."""
    quoted = re.findall(r"['\"]([\w.]+)['\"]", what)
    whole = {*quoted, *map(".".join, pairwise(quoted))}  # "Group 'model' does not accept option 'stepz'"
    ends = {name.rpartition(".")[2] for name in quoted}
    origins = {option: path for config in configs for option, path in config.origins.items()}
    named = [option for option in origins if option in whole or option.rpartition(".")[2] in ends]
    if not named:
        return None
    return origins[max(named, key=lambda option: (option in whole, option.count(".")))]


def _overview(names: Sequence[str] = ()) -> None:
    print("rarescene: make the surgical scenes that a data set lacks, and prove that they help.\n")
    print("usage: rarescene COMMAND …    (rarescene COMMAND --help shows its options and an example)\n")
    for name in names or commands():
        print(f"  {name:<22} {commands()[name].summary}")
    names = ", ".join(f"{word}:…" for word in by_command("datasets"))
    print(f"\nDATA is NAME:PATH ({names}) or a YAML file.")
    print("Start with:  rarescene demo")


if __name__ == "__main__":
    sys.exit(main())
