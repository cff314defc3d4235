"""A campaign against the boundary: damaged files and odd options, through the command line, in one process.

    python tests/campaigns/mutations.py OUT [--files 1000] [--options 1000] [--seed 0]

writes a small data set and small runs to OUT, then runs commands on damaged copies of their files, and with
odd values of every option. It takes about twenty minutes on two cores and is run by hand; pytest does not
collect it. No command may end in a traceback, hang, or change what it reads; each ends with 0, with 2 and a
remedy, or (`check`) with 1. A training is stopped where nothing is left that could refuse.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import io
import json
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

SECONDS = 60
"""After so long a command hangs."""
BLOCKS = {"attention_strides": [2], "blocks_per_level": 1, "head_channels": 16}
MODELS = {
    "casdm": {**BLOCKS, "base_channels": 16, "multipliers": [1, 2], "spade_hidden": 16},
    "maps": {**BLOCKS, "channels": [16, 32], "prompt_channels": 16},
}
LOOP = {"steps": 2, "batch_size": 2, "mixed_precision": "no"}
QUICK = "--training.steps 2 --training.batch_size 2 --training.mixed_precision no --height 32 --width 32"
SEGMENT = f"segment unet --data folder:scenes --split split.json --out unet --model.widths [8,16] {QUICK}"
SYNTHESIZE = "synthesize casdm --masks folder:scenes --sampling.steps 2"
DRAW = "maps maps --map_sampling.steps 2 --map_sampling.tries 1"


class Hang(BaseException):
    """A command took too long; no `except Exception` of the program may take it for an error of its own."""


class Accepted(BaseException):
    """A training would begin now."""


class Ended(NamedTuple):
    """How a command ended: its exit status, or the name of what it raised; and what it said."""

    status: int | str
    said: str

    @property
    def sound(self) -> bool:
        return self.status in (0, 1, 2, "Accepted") and "Traceback" not in self.said


def run(words: list[str]) -> Ended:
    """Run one command, with what it says captured."""
    from rarescene import cli
    from rarescene.foundation import console

    said = io.StringIO()

    def hang(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True)  # where a library waits and hears no signal
    before = console.CONSOLE.file, cli._ERRORS.file
    console.CONSOLE.file = cli._ERRORS.file = said
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status: int | str = cli.main(words)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else "SystemExit"
    except BaseException as error:
        status = type(error).__name__
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        console.CONSOLE.file, cli._ERRORS.file = before
    if status in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        raise SystemExit("stopped")
    return Ended(status, said.getvalue())


# What is damaged


def prepare(root: Path) -> None:
    """Write the data and the runs that the campaign damages copies of; once."""
    if (root / "ready").exists():
        return
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    recordings = [f"video0{number}" for number in range(1, 7)]
    split = {"train": recordings[:4], "validation": recordings[4:5], "test": recordings[5:]}
    with contextlib.chdir(root):
        for name, network in MODELS.items():
            model = {"height": 32, "width": 32, "network": network, "training": LOOP}
            Path(f"{name}.yaml").write_text(json.dumps({"model": model}))
        for name in ("split.json", "split.yaml"):  # JSON is YAML, too
            Path(name).write_text(json.dumps(split))
        Path("data.yaml").write_text("name: folder\npath: scenes\n")
        Path("requests.txt").write_text("liver: one, centre\ngrasper\n")
        for words in (
            "phantom scenes --videos 6 --frames 4 --size 32",
            "train casdm --data folder:scenes --split split.json --out casdm --config casdm.yaml",
            "train maps --data folder:scenes --split split.json --out maps --config maps.yaml",
            SEGMENT,
            f"{SYNTHESIZE} --count 4 --out pairs",
            f"{DRAW} --count 4 --out drawn",
            "evaluate unet --data folder:scenes",
        ):
            ended = run(words.split())
            if ended.status != 0:
                raise SystemExit(f"{words} ended with {ended.status}:\n{ended.said}")
        Path("ready").touch()


TARGETS: dict[str, list[str]] = {
    "scenes/classes.json": ["check folder:scenes", "stats folder:scenes"],
    "scenes/images/video06_frame_00000.png": [
        "check folder:scenes",
        "predict unet scenes/images --out {out}",
        "export coco --data folder:scenes --out {out}",
    ],
    "scenes/masks/video06_frame_00000.png": ["check folder:scenes", "stats folder:scenes"],
    "split.json": ["segment unet --data folder:scenes --split split.json --out {out}"],
    "split.yaml": ["segment unet --data folder:scenes --split split.yaml --out {out}"],
    "data.yaml": ["stats data.yaml"],
    "casdm.yaml": ["train casdm --data folder:scenes --out {out} --config casdm.yaml"],
    "maps.yaml": ["train maps --data folder:scenes --out {out} --config maps.yaml"],
    "requests.txt": [f"{DRAW} --count 2 --requests requests.txt --out {{out}}"],
    "casdm/run.json": [f"{SYNTHESIZE} --count 2 --out {{out}}", "report casdm unet --out {out}.html"],
    "casdm/model/generator.json": [f"{SYNTHESIZE} --count 2 --out {{out}}"],
    "casdm/model/weights.safetensors": [f"{SYNTHESIZE} --count 2 --out {{out}}"],
    "casdm/model/weights.safetensors.sha256": [f"{SYNTHESIZE} --count 2 --out {{out}}"],
    "maps/run.json": [f"{DRAW} --count 2 --out {{out}}"],
    "maps/requests.json": [f"{DRAW} --count 2 --out {{out}}"],
    "maps/model/generator.json": [f"{DRAW} --count 2 --out {{out}}"],
    "maps/model/prompts.json": [f"{DRAW} --count 2 --out {{out}}"],
    "maps/model/prompts.safetensors": [f"{DRAW} --count 2 --out {{out}}"],
    "unet/run.json": [
        "evaluate unet --data folder:scenes --out {out}.json",
        "predict unet scenes/images --out {out}",
        "report unet --out {out}.html",
        "compare unet --classes liver",
    ],
    "unet/metrics.json": ["report unet --out {out}.html", "compare unet --classes liver"],
    "unet/log.jsonl": ["report unet --out {out}.html"],
    "unet/model/config.json": [
        "evaluate unet --data folder:scenes --out {out}.json",
        "curate pairs --segmenter unet --keep 0.5 --out {out}",
    ],
    "unet/model/weights.safetensors": ["predict unet scenes/images --out {out}"],
    "unet/checkpoints/step_00000002/state.json": [f"{SEGMENT} --resume"],
    "unet/checkpoints/step_00000002/optimiser.safetensors": [f"{SEGMENT} --resume"],
    "pairs/run.json": ["curate pairs --segmenter unet --keep 0.5 --out {out}", "realism pairs --most 4"],
    "pairs/manifest.jsonl": [
        "check set:pairs",
        "realism pairs --most 4",
        "curate pairs --segmenter unet --keep 0.5 --out {out}",
        "report pairs unet --out {out}.html",
    ],
    "pairs/set.json": ["stats set:pairs"],
    "pairs/classes.json": ["stats set:pairs"],
    "pairs/images/000001.png": ["realism pairs --most 4"],
    "drawn/manifest.jsonl": ["check set:drawn"],
    "cache": ["stats folder:scenes"],
}
"""Files that are damaged, and the commands that read each; `{out}` is an empty place."""


# How it is damaged

ODD: list[Any] = [
    None, True, -1, 0, 1.5, float("nan"), float("inf"), 1e308, 10**30, "", "nonsense", "../secret.png",
    "x" * 300, "\x00", "\ud800", [], {}, [[]], {"a": 1}, [None], "/etc/passwd", "0", ["a", 1],
]  # fmt: skip
"""Odd JSON values."""


def damaged_json(value: Any, random: random.Random) -> str:
    """Return the JSON text of a value in which one place is another."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        listed = node if isinstance(node, list) else []
        for key, entry in node.items() if isinstance(node, dict) else enumerate(listed):
            places.append((node, key))
            walk(entry)

    walk(value)
    if not places or random.random() < 0.05:
        return json.dumps(random.choice(ODD))
    node, key = random.choice(places)
    what = random.random()
    if what < 0.2:
        del node[key]
    elif what < 0.25:
        return json.dumps(value).replace(json.dumps(node[key]), "[" * 100_000, 1)
    elif what < 0.3 and isinstance(node, dict):
        node["unknown"] = node.pop(key)
    else:
        node[key] = random.choice(ODD)
    return json.dumps(value)


def damage(path: Path, random: random.Random) -> str:
    """Damage a file in a way that is drawn, and return which."""
    content = path.read_bytes()
    general: dict[str, Callable[[], Any]] = {
        "empty": lambda: path.write_bytes(b""),
        "cut": lambda: path.write_bytes(content[: random.randrange(len(content) or 1)]),
        "flipped": lambda: path.write_bytes(flipped(content, random)),
        "random": lambda: path.write_bytes(random.randbytes(200)),
        "missing": path.unlink,
        "folder": lambda: (path.unlink(), path.mkdir()),
        "loop": lambda: (path.unlink(), path.symlink_to(path.name)),
        "pipe": lambda: (path.unlink(), os.mkfifo(path)),
        "mark": lambda: path.write_bytes(b"\xef\xbb\xbf" + content),
    }
    special: dict[str, Callable[[], Any]] = {}
    if path.suffix in (".json", ".yaml"):
        text = content.decode()
        special["value"] = lambda: path.write_text(
            damaged_json(_loads(text), random), "utf-8", "surrogatepass"
        )
    elif path.suffix == ".jsonl":
        lines = content.decode().splitlines()

        def one_line() -> None:
            at = random.randrange(len(lines))
            lines[at] = damaged_json(json.loads(lines[at]), random)
            path.write_text("\n".join(lines), "utf-8", "surrogatepass")

        special["value"] = one_line
    elif path.suffix == ".png":
        special["picture"] = lambda: odd_picture(path, random)
    elif path.suffix == ".safetensors":
        digest = path.with_name(f"{path.name}.sha256")
        special["not finite"] = lambda: (
            path.write_bytes(not_finite(content, random)),
            random.random() < 0.5 and digest.unlink(missing_ok=True),  # as an older version wrote them
        )
    kind = random.choice([*general, *(list(special) * (8 if path.suffix == ".png" else 20))])
    ({**general, **special}[kind])()
    return kind


def _loads(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)


def flipped(content: bytes, random: random.Random) -> bytes:
    """Return bytes of which a few are others."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 3, 20))):
        if changed:
            changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def not_finite(content: bytes, random: random.Random) -> bytes:
    """Return a safetensors file in which a number is NaN or infinite, or the header lies."""
    start = 8 + struct.unpack("<Q", content[:8])[0]
    changed = bytearray(content)
    at = start + 4 * random.randrange((len(content) - start) // 4)
    changed[at : at + 4] = struct.pack("<f", random.choice((float("nan"), float("inf"))))
    lying = struct.pack("<Q", random.choice((0, 2**40, 2**63))) + content[8:]
    return bytes(changed) if random.random() < 0.7 else lying


def odd_picture(path: Path, random: random.Random) -> None:
    """Write a picture of an odd size or mode in place of one."""
    from PIL import Image

    mode = random.choice(("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16"))
    size = random.choice(((1, 1), (5000, 1), (1, 5000), (31, 33), (32, 32), (2, 2)))
    form = "TIFF" if mode in ("CMYK", "F", "I") else "PNG"
    Image.new(mode, size, random.choice((0, 1))).save(path, form)


def state(root: Path) -> dict[str, tuple[int, int, int]]:
    """Return size, time and kind of all files."""
    found = {}
    for folder, _, files in os.walk(root):
        for name in files:
            told = (path := Path(folder, name)).lstat()
            found[str(path)] = told.st_size, told.st_mtime_ns, told.st_mode
    return found


def digests(root: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


# The campaign


class Tally:
    """Counts how commands ended, and keeps those that ended badly."""

    def __init__(self, log: Path) -> None:
        self.log, self.ends, self.bad = log, Counter[str](), Counter[str]()

    def add(self, kind: str, words: list[str], ended: Ended, changed: bool) -> None:
        self.ends[str(ended.status)] += 1
        bad = "changed what it read" if changed else "" if ended.sound else f"ended with {ended.status}"
        if bad:
            self.bad[bad] += 1
            with self.log.open("a", encoding="utf-8", errors="backslashreplace") as log:
                log.write(f"== {kind}: {' '.join(words)}: {bad}\n{ended.said[-3000:]}\n")

    def row(self, name: str, inputs: int) -> str:
        went, refused = (sum(self.ends[key] for key in keys) for keys in (("0", "Accepted"), ("1", "2")))
        cells = (name, inputs, sum(self.ends.values()), went, refused, sum(self.bad.values()))
        return f"| {' | '.join(map(str, cells))} |"


def attack_files(root: Path, count: int, seed: int, log: Path) -> Tally:
    """Damage `count` files, one at a time, and run the commands that read each."""
    tally, listed = Tally(log), list(TARGETS.items())
    whole = root / "whole"
    prepare(whole)
    before = digests(whole)
    with tempfile.TemporaryDirectory(dir=root) as place, stopped_at_training():
        work = Path(place, "work")
        cache = Path(os.environ["RARESCENE_CACHE"])
        for number in range(count):
            drawn = random.Random(f"{seed} {number}")
            file, commands = listed[number % len(listed)]
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(whole, work)
            with contextlib.chdir(work):
                if file == "cache":
                    run(commands[0].split())
                    path = drawn.choice(
                        [
                            path
                            for path in sorted(cache.rglob("*"))
                            if path.is_file() and path.suffix != ".lock"
                        ]
                    )
                else:
                    path = Path(file)
                kind = f"{number} {file} {damage(path, drawn)}"
                for turn, words in enumerate(commands):
                    own = words.format(out=f"../out/{number}-{turn}").split()
                    known = state(work)
                    ended = run(own)
                    writes = "--resume" in own or file == "cache"
                    tally.add(kind, own, ended, not writes and state(work) != known)
            shutil.rmtree(Path(place, "out"), ignore_errors=True)
            if file == "cache":
                shutil.rmtree(cache, ignore_errors=True)
    if digests(whole) != before:
        tally.bad["changed the originals"] += 1
    return tally


@contextlib.contextmanager
def stopped_at_training() -> Iterator[None]:
    """Let every training stop where it would write its record: nothing is left then that could refuse."""
    from rarescene.commands.training_run import TrainingRun

    usual = TrainingRun.start

    def start(self: TrainingRun, *told: Any) -> None:
        if not (self.out / "checkpoints").exists():  # a run that is resumed here is at its last step
            raise Accepted
        usual(self, *told)

    TrainingRun.start = start  # type: ignore[method-assign]
    try:
        yield
    finally:
        TrainingRun.start = usual  # type: ignore[method-assign]


VALUES = [
    ".nan", "nan", ".inf", "-.inf", "-1", "0", "1e38", "1e-320", "nonsense", "[1,2]", "{}", "null", "true",
    "2.5", "../..", "[[[[",
    "", str(10**30), "1" * 5000, "x" * 300, "\ud800", "9" * 18,
]  # fmt: skip
"""Odd values of an option."""


def base_of(name: str) -> str:
    """Return words with which a command goes far enough to look at all of its options."""
    family, word = name.split()[0], name.split()[-1]
    if family == "train":
        joint = " --images vqgan --masks vqgan" if word == "joint" else ""
        config = "tiny" if word == "casdm" else f"{word}-tiny"
        return f"--data folder:scenes --out {{out}}{joint} --config {config}"
    if family == "segment":
        return "--data folder:scenes --out {out} --height 32 --width 32"
    return {
        "phantom": "{out} --videos 2 --frames 1 --size 16",
        "check": "folder:scenes",
        "stats": "folder:scenes",
        "maps": "maps --count 2 --map_sampling.steps 2 --map_sampling.tries 1 --out {out}",
        "synthesize": "casdm --masks folder:scenes --count 2 --sampling.steps 2 --out {out}",
        "pseudolabel": "unet phantom:videos=1,frames=2,size=32,first=201 --out {out}",
        "curate": "pairs --segmenter unet --out {out}",
        "predict": "unet scenes/images/video06_frame_00000.png --out {out}",
        "evaluate": "unet --data folder:scenes --out {out}.json",
        "coherence": "pairs --real unet --ro_alone true --out {out}",
        "realism": "pairs --most 4",
        "compare": "unet",
        "export nnunet": "--data folder:scenes --out {out}/Dataset501_T",
        "export coco": "--data folder:scenes --out {out}",
        "export huggingface": "--data folder:scenes --out {out}",
        "report": "unet --out {out}.html --realism false",
        "demo": "--out {out} --quick true",
        "benchmark": "--config evidence-phantom --out {out}",
        "reproduce": "casdm-table1 --scale smoke --out {out}",
    }[name]


def options_of(name: str) -> list[str]:
    """Return the options of a command, with their sections."""
    import importlib

    from rarescene.cli import commands
    from rarescene.options.parser import build_parser

    command = commands()[name]
    module = command.module if command.method else f"rarescene.{command.module}"
    parser = build_parser(name, command, getattr(importlib.import_module(module), command.function))
    return [
        action.option_strings[0]
        for action in parser._actions
        if action.option_strings and getattr(action, "_typehint", None)
    ]


def attack_options(root: Path, count: int, seed: int, log: Path) -> tuple[Tally, int]:
    """Give `count` options odd values; returns the tally, and how many different options there are."""
    from rarescene import cli

    tally, drawn = Tally(log), random.Random(f"{seed} options")
    every = [(name, option) for name in cli.commands() for option in options_of(name)]
    drawn.shuffle(every)
    whole = root / "whole"
    prepare(whole)
    before = digests(whole)
    parse = cli.parse

    def parse_alone(name: str, words: Any) -> Any:
        function, values = parse(name, words)
        if name.split()[0] in ("demo", "benchmark", "reproduce"):  # each begins with a training of minutes
            raise Accepted
        return function, values

    cli.parse = parse_alone
    try:
        with tempfile.TemporaryDirectory(dir=root) as place, stopped_at_training(), contextlib.chdir(whole):
            for number in range(count):
                name, option = every[number % len(every)]
                out = f"{place}/{number}"
                words = f"{name} {base_of(name)}".format(out=out).split()
                odd = drawn.choice(VALUES)
                if option == "--out" and odd in ("", "../..", "null"):  # the default, or the whole workshop
                    odd = "nonsense/\x00"
                if option in words:
                    words[words.index(option) + 1] = odd
                else:
                    words.append(f"{option}={odd}")
                known = state(whole)
                ended = run(words)
                strange = set(state(whole)) - set(known) if option == "--out" else set()
                for path in strange:
                    Path(path).unlink()
                tally.add(f"{number} options", words, ended, not strange and state(whole) != known)
                shutil.rmtree(out, ignore_errors=True)
    finally:
        cli.parse = parse
    if {name: digest for name, digest in digests(whole).items() if name in before} != before:
        tally.bad["changed the originals"] += 1
    return tally, len(every)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--options", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    root = given.out.resolve()
    root.mkdir(parents=True, exist_ok=True)
    os.environ["RARESCENE_CACHE"] = str(root / "cache")
    tempfile.tempdir = str(root)  # for the logs of what is unexpected
    warnings.simplefilter("ignore")
    log = root / "bad.txt"
    log.unlink(missing_ok=True)
    began = time.perf_counter()
    files = attack_files(root, given.files, given.seed, log)
    options, different = attack_options(root, given.options, given.seed, log)
    print("| attack | inputs | commands | went through | refused with a remedy | traceback, hang or change |")
    print("| --- | --- | --- | --- | --- | --- |")
    print(files.row(f"damaged files of {len(TARGETS)} kinds", given.files))
    print(options.row(f"odd values of {different} options", given.options))
    print(f"\nseed {given.seed}, {(time.perf_counter() - began) / 60:.0f} minutes")
    bad = files.bad + options.bad
    if bad:
        print(f"what went wrong: {dict(bad)}; see {log}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
