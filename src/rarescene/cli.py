"""The command line: parse, call, show. Each command is one function of a workflow or a recipe.

The arguments of a command are those of its function: what stands before the `*` is positional, the rest are
options, and dataclasses become nested options and sections of a YAML file. Only the module of the chosen
command is imported, so that `rarescene --help` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from contextlib import chdir
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

from rich.console import Console
from rich.markup import escape

from rarescene.foundation.config_files import ConfigFile, find_config, read_config_file
from rarescene.foundation.errors import ConfigError, RareSceneError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


class Command(NamedTuple):
    """One command: what it does, where its function is, and an example that works."""

    summary: str
    module: str
    function: str
    example: str


COMMANDS: dict[str, Command] = {
    "demo": Command(
        "the whole road on phantom scenes, in minutes, with a report",
        "recipes.demo", "demo", "rarescene demo --out demo",
    ),
    "phantom": Command(
        "write phantom scenes to a folder",
        "workflows.phantom", "phantom", "rarescene phantom scenes --videos 12 --frames 80 --size 128",
    ),
    "check": Command(
        "list all faults of a data set at once",
        "workflows.check", "check", "rarescene check cholecseg8k:CholecSeg8k",
    ),
    "stats": Command(
        "per class: share of frames, area, recordings; which are rare, and why",
        "workflows.stats", "stats", "rarescene stats phantom:videos=12,frames=80,size=64",
    ),
    "train casdm": Command(
        "train an image generator that follows masks (CASDM)",
        "workflows.train", "train_casdm",
        "rarescene train casdm --data folder:scenes --out runs/casdm --config tiny",
    ),
    "train sdm": Command(
        "train CASDM's baseline SDM: plain loss, learned variance, guidance",
        "workflows.train", "train_sdm",
        "rarescene train sdm --data folder:scenes --out runs/sdm --config sdm-tiny",
    ),
    "train conditional-ddpm": Command(
        "train the baseline that sees the map beside the noisy image",
        "workflows.train", "train_conditional_ddpm",
        "rarescene train conditional-ddpm --data folder:scenes --out runs/ddpm "
        "--config conditional-ddpm-tiny",
    ),
    "train maps": Command(
        "train a generator of segmentation maps that follows prompts",
        "workflows.train_maps", "train_maps",
        "rarescene train maps --data folder:scenes --out runs/maps --config maps-tiny",
    ),
    "train image-vqgan": Command(
        "train the autoencoder of images in front of the joint generator",
        "workflows.train_vqgan", "train_image_vqgan",
        "rarescene train image-vqgan --data folder:scenes --out runs/image-vqgan --config image-vqgan-tiny",
    ),
    "train mask-vqgan": Command(
        "train the autoencoder of masks in front of the joint generator",
        "workflows.train_vqgan", "train_mask_vqgan",
        "rarescene train mask-vqgan --data folder:scenes --out runs/mask-vqgan --config mask-vqgan-tiny",
    ),
    "train joint": Command(
        "train a generator that draws images and their masks at once (GAUDA)",
        "workflows.train_joint", "train_joint",
        "rarescene train joint --images runs/image-vqgan --masks runs/mask-vqgan --data folder:scenes "
        "--out runs/joint --config joint-tiny",
    ),
    "train datasetgan": Command(
        "train the baseline that draws pairs with a GAN (DatasetGAN)",
        "workflows.train_datasetgan", "train_datasetgan",
        "rarescene train datasetgan --data folder:scenes --out runs/datasetgan --config datasetgan-tiny",
    ),
    "maps": Command(
        "draw segmentation maps for requests, and check them",
        "workflows.maps", "maps",
        'rarescene maps runs/maps --prompt "cystic duct: one, centre; grasper: two, upper right" --count 8 '
        "--out drawn",
    ),
    "synthesize": Command(
        "draw synthetic pairs that show the classes asked for",
        "workflows.synthesize", "synthesize",
        'rarescene synthesize runs/casdm --masks folder:scenes --classes "cystic duct,hepatic vein" '
        "--count 500 --out pairs",
    ),
    "curate": Command(
        "keep the best synthetic pairs, and show what was dropped and why",
        "workflows.curate", "curate",
        "rarescene curate pairs --segmenter runs/without --keep 0.8 --out kept",
    ),
    "segment unet": Command(
        "train the compact U-Net, with or without synthetic pairs",
        "workflows.segment", "segment_unet",
        "rarescene segment unet --data folder:scenes --strategy offline --synthetic pairs --out runs/with",
    ),
    "segment segformer": Command(
        "train SegFormer from scratch, with or without synthetic pairs",
        "workflows.segment", "segment_segformer",
        "rarescene segment segformer --data folder:scenes --strategy none --out runs/without",
    ),
    "segment mask2former": Command(
        "train Mask2Former from scratch, with or without synthetic pairs",
        "workflows.segment", "segment_mask2former",
        "rarescene segment mask2former --data folder:scenes --strategy none --out runs/without",
    ),
    "segment phiseg": Command(
        "train PHiSeg, whose posterior samples show what it is unsure of",
        "workflows.segment", "segment_phiseg",
        "rarescene segment phiseg --data folder:scenes --out runs/phiseg --config phiseg-tiny",
    ),
    "segment unet-ensemble": Command(
        "train an ensemble of U-Nets, whose disagreement is its uncertainty",
        "workflows.segment", "segment_unet_ensemble",
        "rarescene segment unet-ensemble --data folder:scenes --out runs/ensemble "
        "--config unet-ensemble-tiny",
    ),
    "predict": Command(
        "masks and overlays for a user's own frames",
        "workflows.predict", "predict", "rarescene predict runs/with frames --out predictions",
    ),
    "evaluate": Command(
        "per-class IoU and Dice on held-out recordings, with intervals",
        "workflows.evaluate", "evaluate", "rarescene evaluate runs/with --data folder:scenes",
    ),
    "coherence": Command(
        "do image and mask of synthetic pairs belong together? RO, SO, and copies",
        "workflows.coherence", "coherence", "rarescene coherence pairs --real runs/without --out coherence",
    ),
    "realism": Command(
        "do synthetic images look like real ones? Frechet and kernel distance, MS-SSIM",
        "workflows.realism", "realism", "rarescene realism pairs --inception inception-2015-12-05.pt",
    ),
    "compare": Command(
        "the table of strategies: means, intervals, effect sizes",
        "workflows.compare", "compare", "rarescene compare runs/without runs/with",
    ),
    "export nnunet": Command(
        "write real and synthetic scenes as raw data of nnU-Net v2",
        "workflows.export", "export_nnunet",
        "rarescene export nnunet --data folder:scenes --synthetic pairs --out nnUNet_raw/Dataset501_Phantom",
    ),
    "export coco": Command(
        "write real and synthetic scenes as COCO instances and COCO panoptic",
        "workflows.export", "export_coco",
        'rarescene export coco --data folder:scenes --things "grasper,l-hook electrocautery" --out coco',
    ),
    "export huggingface": Command(
        "write real and synthetic scenes for Hugging Face `datasets`",
        "workflows.export", "export_huggingface",
        "rarescene export huggingface --data folder:scenes --synthetic pairs --out hub",
    ),
    "report": Command(
        "one self-contained page about several runs",
        "workflows.report", "report", "rarescene report runs/without runs/with --out report.html",
    ),
    "reproduce": Command(
        "a table or a figure of a paper, beside the paper's own",
        "recipes.reproduce", "reproduce", "rarescene reproduce casdm-table2 --scale tiny",
    ),
}  # fmt: skip

SWITCHES = (
    "--resume", "--alone", "--drop_copies", "--ro_alone", "--vary", "--write_classes", "--quick", "--quiet",
)  # fmt: skip

CONFIGS = Path(__file__).parent / "recipes" / "configs"

_ERRORS = Console(stderr=True, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, or 1 where a check found faults, or 2 where something must be mended."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        _overview()
        return 0
    if words[0] == "--version":
        from rarescene import __version__

        print(f"rarescene {__version__}")
        return 0
    try:
        name, rest = _choose(words)
        function, values = parse(name, rest)
        return int(function(**values) or 0)
    except RareSceneError as error:
        where = f"{error.path}: " if error.path is not None else ""
        _ERRORS.print(
            f"[bold red]error[/] {escape(where + error.what)}\n[bold]remedy[/] {escape(error.remedy)}",
            soft_wrap=True,
        )
        return 2
    except KeyboardInterrupt:
        _ERRORS.print(
            "\nstopped; what was written before is whole, and commands with --resume go on from there"
        )
        return 130


def parse(name: str, words: Sequence[str]) -> tuple[Callable[..., int | None], dict[str, object]]:
    """Return the function of a command and the values that the words after it give its parameters.

    Raises:
        ConfigError: the words do not fit, or a configuration file is unusable.
    """
    command = COMMANDS[name]
    function: Callable[..., int | None] = getattr(
        importlib.import_module(f"rarescene.{command.module}"), command.function
    )
    parser = build_parser(name, function)
    tidy, files = _shipped_configs([_tidy(word) for word in words])
    configs = [read_config_file(path, CONFIGS) for path in files]
    try:
        values = dict(vars(parser.instantiate(parser.parse_args(tidy))))
    except argparse.ArgumentError as error:
        what = " ".join(str(error).split())
        remedy = f"`rarescene {name} --help` lists the options; for example: {command.example}"
        raise ConfigError(what, remedy, _blamed(what, configs)) from error
    values.pop("config")
    return function, values


def build_parser(name: str, function: Callable[..., int | None]) -> ArgumentParser:
    """Return the parser of a command, made from its function's signature and docstring."""
    import yaml
    from jsonargparse import ActionConfigFile, ArgumentParser, DefaultHelpFormatter

    class Help(DefaultHelpFormatter):
        """Says `path` where the library says `<class 'Path'>`, and breaks no `--some-option` over lines."""

        def _fill_text(self, text: str, width: int, indent: str) -> str:
            return textwrap.fill(
                " ".join(text.split()), width, initial_indent=indent, subsequent_indent=indent,
                break_on_hyphens=False, break_long_words=False,
            )  # fmt: skip

        def _expand_help(self, action: argparse.Action) -> str:
            return str(super()._expand_help(action)).replace("<class 'Path'>", "path")

    class Config(ActionConfigFile):  # type: ignore[misc]
        """Takes a file together with its bases, as text in which every value keeps its type."""

        def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
            text = yaml.safe_dump(read_config_file(Path(values), CONFIGS).options, default_style='"')
            with chdir(Path(values).parent):  # a section may name a file beside this one
                super().__call__(parser, namespace, text, option)

    text = inspect.getdoc(function) or ""
    parser = ArgumentParser(
        prog=f"rarescene {name}",
        description=text.split("\n\nArgs:")[0],
        epilog=f"example: {COMMANDS[name].example}",
        allow_abbrev=False,
        exit_on_error=False,
        formatter_class=Help,
    )
    parser.add_argument(
        "--config",
        action=Config,
        help="YAML file with any of these options, perhaps over a `base:`, or the name of a shipped one.",
    )
    hints = get_type_hints(function)
    several = [name for name, hint in hints.items() if hint == list[Path]]
    for name in several:  # `RUN RUN …` rather than a list in brackets
        parser.add_argument(name, nargs="+", type=Path, help="folders of runs, one or more")
    parser.add_function_arguments(function, as_group=False, as_positional=True, skip=set(several))
    return parser


def _choose(words: list[str]) -> tuple[str, list[str]]:
    """Split the words into the command's name, of one word or two, and its arguments."""
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            return name, words[length:]
    families = [name for name in COMMANDS if name.split()[0] == words[0]]
    if families:
        if len(words) < 2 or words[1] in ("-h", "--help"):
            _overview(families)
            raise SystemExit(0)
        known = ", ".join(name.split()[1] for name in families)
        raise ConfigError(f"`rarescene {words[0]}` knows no {words[1]!r}", f"It knows: {known}.")
    close = difflib.get_close_matches(words[0], COMMANDS, n=1)
    hint = f"Did you mean `rarescene {close[0]}`?" if close else "`rarescene --help` lists the commands."
    raise ConfigError(f"there is no command {words[0]!r}", hint)


def _tidy(word: str) -> str:
    """Let `--group-by` and `--group_by` be the same option, and let a switch stand without a value."""
    if not word.startswith("--"):
        return word
    option, equals, value = word.partition("=")
    option = "--" + option[2:].replace("-", "_")
    return f"{option}=true" if option in SWITCHES and not equals else option + equals + value


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


def _overview(names: Sequence[str] = tuple(COMMANDS)) -> None:
    print("rarescene: make the surgical scenes that a data set lacks, and prove that they help.\n")
    print("usage: rarescene COMMAND …    (rarescene COMMAND --help shows its options and an example)\n")
    for name in names:
        print(f"  {name:<22} {COMMANDS[name].summary}")
    print(
        "\nDATA is NAME:PATH (cholecseg8k:…, cadis:…, sisvse:…, folder:…, set:…, phantom:…) or a YAML file."
    )
    print("Start with:  rarescene demo")


if __name__ == "__main__":
    sys.exit(main())
