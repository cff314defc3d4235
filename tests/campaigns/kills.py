"""Kill every command at file-system events, repeat it, and compare what it ends with. Minutes; run by hand.

    python tests/campaigns/kills.py OUT --kills 200

Each command runs once undisturbed, while its events are counted: files opened for writing, renamed or
removed, folders made or removed. Then a process kills itself just before the n-th event, for an n taken at
random, and the command is repeated as a user would (with --resume where it has that). A third of the kills
fall on the last events, where a command that has written everything tidies up. What lies there at the end
must be what the undisturbed run left, but for times, with nothing beside it, and nothing that the command was
given may have changed. A third of the repeated commands are killed as well, and repeated once more. Prints a
table, and writes OUT/kills.json.

The demo draws with the campaign's own generator on its few scenes, since with the one that ships it takes
minutes each time. `check` and `stats` write nothing, and are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

from rich.console import Console
from rich.table import Table

EVENTS = {
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.truncate",
    "os.chmod",
    "os.link",
    "os.symlink",
}
TIMES = {
    "started",
    "finished",
    "commit",
    "command",
    "date",
    "since",
    "stood",
    "waited",
}
PHANTOM = "phantom:videos=4,frames=4,size=32"
BRIEF = ["steps=4", "batch_size=4", "log_every=2", "save_every=2", "mixed_precision=no"]
LAST = 12
"""Events at the end of a command, on which a third of the kills fall."""
ROOMS = ("augmentation", "evaluation", "generators", "reports", "segmenters", "training")
SPLIT = ["--fractions", "[0.5,0.25,0.25]"]
LOOP = [f"--training.{one}" for one in BRIEF]
MODEL = [f"--model.training.{one}" for one in BRIEF]
SIZE = ["--model.height=32", "--model.width=32"]
SPADE = [
    "--model.network.base_channels=16", "--model.network.multipliers=[1,2]",
    "--model.network.blocks_per_level=1", "--model.network.attention_strides=[]",
    "--model.network.head_channels=16", "--model.network.spade_hidden=8", "--model.network.patch=2",
    "--model.diffusion.prediction=v",
]  # fmt: skip
MAPS = [
    "--model.network.channels=[16,32]", "--model.network.attention_strides=[8]",
    "--model.network.blocks_per_level=1", "--model.network.head_channels=16",
    "--model.network.prompt_channels=16", "--model.network.patch=4", "--model.diffusion.prediction=x0",
]  # fmt: skip
DATA = ["--data", "folder:scenes", *SPLIT]
VQGAN = [
    "--model.network.levels=[16,32]", "--model.network.patch=2", "--model.network.blocks_per_level=1",
    "--model.network.codes=32", "--model.adversarial.widths=[16]",
]  # fmt: skip
JOINT = [
    "--images", "image_vqgan", "--masks", "mask_vqgan", "--model.network.channels=[32,32]",
    "--model.network.attention_strides=[2]", "--model.network.blocks_per_level=1",
    "--model.network.head_channels=16", "--model.network.prompt_channels=16",
    "--model.diffusion.prediction=v",
]  # fmt: skip
GAN = [
    "--model.network.channels=[8,8,16,16]", "--model.network.latent=16", "--model.network.mapping_layers=2",
    "--model.encoder.feature_size=32", "--model.refinement.frames=5", "--model.refinement.steps=2",
    "--model.refinement.block=2", "--model.labels.members=2", "--model.labels.hidden=[8,8]",
    "--model.labels.check_every=2", "--model.tries=2",
    *(f"--model.{stage}.training.{one}" for stage in ("encoder", "labels") for one in BRIEF),
]  # fmt: skip
UNET = ["segment", "unet", *DATA, "--model.widths=[8,16]", *LOOP]
ADAPTIVE = ["--strategy", "adaptive", "--training.validate_every=2"]


STUDY = {
    "data": {"spec": "folder:scenes", "fractions": [0.5, 0.25, 0.25]},
    "height": 32,
    "width": 32,
    "rare": ["grasper"],
    "segmenters": {"unet": {"method": "unet", "model": {"widths": [8, 16]}}},
    "training": {"steps": 4, "batch_size": 4, "log_every": 2, "save_every": 2, "mixed_precision": "no"},
    "seeds": [0],
    "arms": {"none": {}, "duplicate": {"strategy": "duplicate", "options": {"duplicate": {"count": 4}}}},
}
"""What `benchmark` compares."""


class Attack(NamedTuple):
    """One command under attack.

    Attributes:
        name: in the table.
        words: of the command, which writes OUT.
        again: what is added when it is repeated.
    """

    name: str
    words: list[str]
    again: list[str] = ["--resume"]  # noqa: RUF012 - never changed


ATTACKS = [
    Attack("phantom", ["phantom", "OUT", "--videos", "2", "--frames", "4", "--size", "32"], []),
    Attack("train casdm", ["train", "casdm", *DATA, *SIZE, *SPADE, *MODEL, "--out", "OUT"]),
    Attack("train maps", ["train", "maps", *DATA, *SIZE, *MAPS, *MODEL, "--out", "OUT"]),
    Attack("train image-vqgan", [
        "train", "image-vqgan", *DATA, *SIZE, *VQGAN, "--model.perceptual_size=32", *MODEL, "--out", "OUT",
    ]),
    Attack("train mask-vqgan", ["train", "mask-vqgan", *DATA, *SIZE, *VQGAN, *MODEL, "--out", "OUT"]),
    Attack("train joint", ["train", "joint", *DATA, *SIZE, *JOINT, *MODEL, "--out", "OUT"]),
    Attack("train datasetgan", ["train", "datasetgan", *DATA, *SIZE, *GAN, *MODEL, "--out", "OUT"]),
    Attack("segment, none", [*UNET, "--out", "OUT"]),
    Attack("segment, adaptive", [*UNET, *ADAPTIVE, "--out", "OUT"]),
    Attack("synthesize", [
        "synthesize", "casdm", "--masks", "folder:scenes", "--count", "12", "--sampling.steps", "2",
        "--sampling.block", "4", "--out", "OUT",
    ]),
    Attack("synthesize --compose", [
        "synthesize", "casdm", "--compose", "folder:scenes", "--classes", "grasper", "--judge", "run",
        "--trust.share=0", "--composition.plausible=0", "--composition.visible=0",
        "--composition.on_top=black background", "--count", "12", "--sampling.steps", "2",
        "--sampling.block", "4", "--out", "OUT",
    ]),
    Attack("pseudolabel", [
        "pseudolabel", "run", "phantom:videos=2,frames=20,size=32,first=11", "--sure", "0", "--out", "OUT",
    ]),
    Attack("maps", [
        "maps", "maps", "--count", "8", "--map_sampling.steps", "2", "--map_sampling.block", "4",
        "--out", "OUT",
    ]),
    Attack("curate", ["curate", "pairs", "--segmenter", "run", "--out", "OUT"]),
    Attack("predict", ["predict", "run", "scenes/images", "--out", "OUT"], []),
    Attack("evaluate", ["evaluate", "run", "--data", "folder:scenes", "--out", "OUT/metrics.json"], []),
    Attack("compare", ["compare", "run", "adaptive", "--out", "OUT/compared.json"], []),
    Attack("export nnunet", [
        "export", "nnunet", *DATA, "--synthetic", "pairs", "--out", "OUT/Dataset501_Phantom",
    ], []),
    Attack("export coco", ["export", "coco", *DATA, "--synthetic", "pairs", "--out", "OUT"], []),
    Attack("export huggingface", [
        "export", "huggingface", *DATA, "--synthetic", "pairs", "--out", "OUT",
    ], []),
    Attack("coherence", ["coherence", "pairs", "--real", "run", "--ro-alone", "--out", "OUT"]),
    Attack("realism", ["realism", "pairs", "--out", "OUT/realism.json"], []),
    Attack("report", ["report", "run", "pairs", "--realism", "false", "--out", "OUT/report.html"], []),
    Attack("demo --quick", ["demo", "--quick", "--out", "OUT"], []),
    Attack("benchmark", ["benchmark", "--config", "study.yaml", "--out", "OUT"], []),
    Attack("reproduce", [
        "reproduce", "gauda-fig5", "--scale", "smoke", "--datasets", "cholecseg8k", "--out", "OUT",
    ], []),
]  # fmt: skip

GIVEN = {
    "casdm": "train casdm",
    "maps": "train maps",
    "image_vqgan": "train image-vqgan",
    "mask_vqgan": "train mask-vqgan",
    "run": "segment, none",
    "adaptive": "segment, adaptive",
    "pairs": "synthesize",
}
"""Folders that other commands are given, and the command that makes each."""


def in_child(words: list[str], before: int | None = None) -> tuple[int, int, str]:
    """Run a command in a process of its own.

    Args:
        words: of the command.
        before: the event before which it kills itself.

    Returns:
        Its exit status (-9 where it was killed), how many events there were, and what it said.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        here = str(Path.cwd())
        count = 0

        def hook(event: str, args: tuple[Any, ...]) -> None:
            nonlocal count
            if event == "open":
                path, _, flags = args
                writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
                if not writes or not isinstance(path, (str, bytes, os.PathLike)):
                    return
            elif event in EVENTS:
                path = args[0]
            else:
                return
            if not isinstance(path, int) and str(Path(os.fsdecode(path)).absolute()).startswith(here):
                count += 1
                if count == before:
                    os.kill(os.getpid(), signal.SIGKILL)

        from rarescene.cli import main

        status = 70
        with (
            Path(os.devnull).open("w") as nowhere,
            (Path.cwd() / ".." / "said.txt").resolve().open("w") as said,
        ):
            sys.addaudithook(hook)
            with redirect_stdout(nowhere), redirect_stderr(said):
                try:
                    status = main(words)
                except BaseException as error:  # a traceback is what we look for
                    print(f"traceback: {error!r}", file=said)
        os.write(write, json.dumps([status, count]).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    _, ended = os.waitpid(child, 0)
    said_text = (Path.cwd() / ".." / "said.txt").resolve().read_text()
    if os.WIFSIGNALED(ended):
        return -os.WTERMSIG(ended), 0, said_text
    status, count = json.loads(told)
    return status, count, said_text


def content(folder: Path, skip: str = "") -> dict[str, str]:
    """Return what lies in a folder, by name: digests, of text without its times; folders, empty ones too."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not (skip and name.startswith(skip)):
            found[name] = hashlib.sha256(timeless(path)).hexdigest()[:12] if path.is_file() else "folder"
    return found


def timeless(path: Path) -> bytes:
    """Return the content of a file, without the times in it."""
    data = path.read_bytes()
    match path.suffix if data else "":
        case ".json":
            return json.dumps(_without_times(json.loads(data)), sort_keys=True).encode()
        case ".jsonl":
            return json.dumps([_without_times(json.loads(line)) for line in data.splitlines()]).encode()
        case ".md" | ".html":
            text = re.sub(r"\d{4}-\d\d-\d\d(T[\d:+]+)?", "", data.decode())
            text = re.sub(r" --resume|[\d.]+ % of the whole run|<!-- rarescene \w+ -->", "", text)
            return re.sub(r"[\d.,]+ ?(s|min|minutes|seconds|scenes/s)\b", "", text).encode()
    return data


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_times(entry)
            for name, entry in value.items()
            if name not in TIMES and "second" not in name
        }
    return [_without_times(entry) for entry in value] if isinstance(value, list) else value


def prepare() -> None:
    """Make what the commands are given: phantom scenes, and what the commands in `GIVEN` make of them."""
    from rarescene.recipes import demo
    from rarescene.recipes.package_weights import ship

    commands = {one.name: one.words for one in ATTACKS}
    made = [
        ["phantom", "scenes", "--videos", "4", "--frames", "4", "--size", "32"],
        *([word.replace("OUT", out) for word in commands[name]] for out, name in GIVEN.items()),
        *(["evaluate", run, "--data", "folder:scenes"] for run in ("run", "adaptive")),
    ]
    for words in made:
        status, _, said = in_child(words)
        if status:
            raise SystemExit(f"{' '.join(words)} ended with {status}: {said}")
    Path("study.yaml").write_text(json.dumps(STUDY, indent=2))  # JSON is YAML
    ship(Path("casdm"), Path("weights/phantom_casdm"))
    demo.WEIGHTS = Path("weights/phantom_casdm").absolute()


def attack(one: Attack, kills: int, rng: random.Random, say: Callable[[str], None]) -> dict[str, Any]:
    """Kill one command so many times, and return what came of it."""
    given = content(Path.cwd(), skip="OUT")
    status, events, said = in_child(one.words)
    if status:
        raise SystemExit(f"{one.name} ended with {status}: {said}")
    whole = content(Path("OUT"))
    told: dict[str, Any] = {"command": one.name, "events": events, "kills": 0, "equal": 0, "faults": []}
    again = [*one.words, *one.again]
    for _ in range(kills):
        shutil.rmtree("OUT", ignore_errors=True)
        before = [event_in(events, rng)] + ([event_in(events, rng)] if rng.random() < 1 / 3 else [])
        for number, event in enumerate(before):
            told["kills"] += in_child(again if number else one.words, event)[0] == -signal.SIGKILL
        status, _, said = in_child(again)
        found = content(Path("OUT"))
        beside = [path for path in Path.cwd().iterdir() if path.name not in (*given, "OUT")]
        # An export that was killed after its last step is whole, and refuses to be added to.
        ended = status == 0 or (not one.again and "is not empty" in said)
        if ended and found == whole and not beside:
            told["equal"] += 1
        else:
            odd = sorted({name for name in {*found, *whole} if found.get(name) != whole.get(name)})
            odd += [path.name for path in beside]
            fault = f"killed before event {before}: exit {status}, {said.strip()[:300]}, differ: {odd[:6]}"
            told["faults"].append(fault)
            say(f"{one.name}: {fault}")
        for path in beside:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    changed = {name for name, digest in content(Path.cwd(), skip="OUT").items() if given.get(name) != digest}
    told["inputs changed"] = sorted(changed)
    shutil.rmtree("OUT", ignore_errors=True)
    return told


def event_in(events: int, rng: random.Random) -> int:
    """Return the number of an event, in a third of the cases one of the last."""
    return rng.randint(max(1, events - LAST), events) if rng.random() < 1 / 3 else rng.randint(1, events)


def shares(kills: int, attacks: list[Attack]) -> Iterator[tuple[Attack, int]]:
    """Share the kills among the commands."""
    for place, one in enumerate(attacks):
        yield one, kills // len(attacks) + (place < kills % len(attacks))


def run(out: Path, kills: int, seed: int, only: Sequence[str]) -> int:
    """Make the campaign in a folder, and return how many faults it found."""
    import torch

    for name in ROOMS:  # imported once here, not once a child
        room = importlib.import_module(f"rarescene.{name}")
        for public in room.__all__:
            getattr(room, public)
    torch.set_num_threads(1)
    console, began = Console(), time.perf_counter()
    work = out / "work"
    work.mkdir(parents=True)
    os.environ["RARESCENE_CACHE"] = str((out / "cache").resolve())
    os.chdir(work)
    prepare()
    chosen = [one for one in ATTACKS if any(word in one.name for word in only)]
    rng = random.Random(seed)
    found = [attack(one, count, rng, console.print) for one, count in shares(kills, chosen)]
    table = Table("command", "events", "kills", "ended equal", "faults")
    for told in found:
        faults = len(told["faults"]) + len(told["inputs changed"])
        ended = told["equal"], told["equal"] + len(told["faults"])
        table.add_row(
            told["command"], str(told["events"]), str(told["kills"]), f"{ended[0]} of {ended[1]}", str(faults)
        )
    console.print(table)
    minutes = (time.perf_counter() - began) / 60
    faults = sum(len(told["faults"]) + len(told["inputs changed"]) for told in found)
    console.print(f"{sum(told['kills'] for told in found)} kills, {faults} faults, {minutes:.1f} minutes")
    result = {"seed": seed, "minutes": round(minutes, 1), "commands": found}
    (work.parent / "kills.json").write_text(json.dumps(result, indent=2) + "\n")
    return faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="a new folder, in which everything is made")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[""], help="commands whose name holds one of these")
    given = parser.parse_args()
    sys.exit(1 if run(given.out.resolve(), given.kills, given.seed, given.only) else 0)
