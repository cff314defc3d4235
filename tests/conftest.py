"""What several rooms' tests share: small runs of every kind, made once, and real files.

Real files lie beside the checkout, or where RARESCENE_TEST_DATA points, and never enter the project.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from rarescene.cli import main
from rarescene.foundation.files import read_json, write_json
from rarescene.foundation.run_record import read_record

# Two threads of torch that wait by spinning take ten times as long where other processes want the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A property holds or does not; how long an example takes says how busy the machine is.
settings.register_profile("rarescene", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rarescene")

PHANTOM = "phantom:videos=6,frames=8,size=32"
FRACTIONS = "--fractions=[0.5,0.17,0.33]"
TINY = [
    "--model.height=32", "--model.width=32", "--model.network.base_channels=16",
    "--model.network.multipliers=[1,2]", "--model.network.blocks_per_level=1",
    "--model.network.attention_strides=[]", "--model.network.head_channels=16",
    "--model.network.spade_hidden=8", "--model.network.patch=2", "--model.diffusion.prediction=v",
    "--model.training.steps=4", "--model.training.batch_size=4", "--model.training.log_every=2",
    "--model.training.save_every=2", "--model.training.mixed_precision=no", FRACTIONS,
]  # fmt: skip
"""A CASDM that trains in a second."""

TINY_MAPS = [
    "--model.height=32", "--model.width=32", "--model.network.channels=[16,32]",
    "--model.network.attention_strides=[8]", "--model.network.blocks_per_level=1",
    "--model.network.head_channels=16", "--model.network.prompt_channels=16", "--model.network.patch=4",
    "--model.diffusion.prediction=x0", "--model.training.steps=4", "--model.training.batch_size=4",
    "--model.training.log_every=2", "--model.training.save_every=2", "--model.training.mixed_precision=no",
    FRACTIONS,
]  # fmt: skip
"""A map generator that trains in seconds."""

TINY_VQGAN = [
    "--model.height=32", "--model.width=32", "--model.network.levels=[16,32]", "--model.network.patch=2",
    "--model.network.blocks_per_level=1", "--model.network.codes=32", "--model.adversarial.widths=[16]",
    "--model.training.steps=4", "--model.training.batch_size=4", "--model.training.log_every=2",
    "--model.training.save_every=2", "--model.training.mixed_precision=no", FRACTIONS,
]  # fmt: skip
"""A VQ-GAN, of images or of masks, that trains in seconds."""

TINY_JOINT = [
    "--model.height=32", "--model.width=32", "--model.network.channels=[32,32]",
    "--model.network.attention_strides=[2]", "--model.network.blocks_per_level=1",
    "--model.network.head_channels=16", "--model.network.prompt_channels=16",
    "--model.diffusion.prediction=v", "--model.training.steps=4", "--model.training.batch_size=4",
    "--model.training.log_every=2", "--model.training.save_every=2", "--model.training.mixed_precision=no",
    FRACTIONS,
]  # fmt: skip
"""A joint latent generator that trains in a second."""

BRIEF = [
    "--model.widths=[8,16]", "--training.steps=4", "--training.batch_size=4", "--training.log_every=2",
    "--training.save_every=2", "--training.validate_every=2", "--training.mixed_precision=no", FRACTIONS,
]  # fmt: skip
"""A U-Net that trains in a second."""

ROOT = Path(os.environ.get("RARESCENE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def _real(name: str) -> Path:
    path = ROOT / name
    if not path.is_dir():
        pytest.skip(f"the real files of {name} are not here; set RARESCENE_TEST_DATA to run this test")
    return path


@pytest.fixture(scope="session")
def real_folder() -> Callable[[str], Path]:
    """Return where a real data set in the layout of a plain folder lies; the test is skipped without it."""
    return _real


@pytest.fixture(scope="session")
def real_clip() -> Path:
    """One real CholecSeg8k clip: 72 frames of one recording."""
    return _real("cholecseg8k")


@pytest.fixture(scope="session")
def real_cadis() -> Path:
    """Forty real CaDIS label maps and one pair."""
    return _real("cadis")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' caches out of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RARESCENE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_power_cut() -> Iterator[None]:
    """Let nothing wait for the disk: a kill leaves what was written, and no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


def took(stage: Path, seconds: float) -> None:
    """Write that a training, or a stage of one, has taken so long until each of its checkpoints."""
    places = [stage / "stage.json"] if stage.name == "refinement" else stage.glob("checkpoints/*/state.json")
    for place in places:
        write_json(place, read_json(place) | {"seconds": seconds})


@pytest.fixture(scope="session")
def generator_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `rarescene train casdm`."""
    out = tmp_path_factory.mktemp("runs") / "casdm"
    assert main(["train", "casdm", "--data", PHANTOM, "--out", str(out), *TINY]) == 0
    return out


@pytest.fixture(scope="session")
def maps_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `rarescene train maps`."""
    out = tmp_path_factory.mktemp("runs") / "maps"
    assert main(["train", "maps", "--data", PHANTOM, "--out", str(out), *TINY_MAPS]) == 0
    return out


@pytest.fixture(scope="session")
def vqgan_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of `rarescene train image-vqgan` and `rarescene train mask-vqgan`."""
    runs = tmp_path_factory.mktemp("runs") / "image_vqgan", tmp_path_factory.mktemp("runs") / "mask_vqgan"
    words = ["--data", PHANTOM, *TINY_VQGAN]
    assert main(["train", "image-vqgan", "--out", str(runs[0]), *words, "--model.perceptual_size=32"]) == 0
    assert main(["train", "mask-vqgan", "--out", str(runs[1]), *words]) == 0
    return runs


@pytest.fixture(scope="session")
def joint_run(vqgan_runs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `rarescene train joint`."""
    out, (images, masks) = tmp_path_factory.mktemp("runs") / "joint", vqgan_runs
    words = ["train", "joint", "--data", PHANTOM, "--images", str(images), "--masks", str(masks)]
    assert main([*words, "--out", str(out), *TINY_JOINT]) == 0
    return out


@pytest.fixture(scope="session")
def pairs(generator_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `rarescene synthesize`: four pairs."""
    out = tmp_path_factory.mktemp("sets") / "pairs"
    words = ["synthesize", str(generator_run), "--masks", PHANTOM, "--out", str(out), "--count", "4"]
    assert main([*words, "--sampling.steps=1", "--sampling.block=4"]) == 0
    return out


@pytest.fixture(scope="session")
def segmenter_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `rarescene segment unet`, scored by `rarescene evaluate`."""
    out = tmp_path_factory.mktemp("runs") / "none"
    assert main(["segment", "unet", "--data", PHANTOM, "--out", str(out), *BRIEF]) == 0
    assert main(["evaluate", str(out), "--data", PHANTOM, "--quiet"]) == 0
    return out


class Forking:
    """The process of `forked_commands.py`, which runs one command at a time."""

    def __init__(self) -> None:
        program = Path(__file__).parent / "forked_commands.py"
        self.process = subprocess.Popen(
            [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, words: Sequence[str], log: Path, ranks: int = 1) -> list[int]:
        """Start a command; return the process ids of its ranks."""
        import torch

        # as many threads as this process has: sums are rounded by how they are divided
        asked = {"words": words, "variables": dict(os.environ), "threads": torch.get_num_threads()}
        assert self.process.stdin is not None
        print(json.dumps(asked | {"log": str(log), "ranks": ranks}), file=self.process.stdin, flush=True)
        return [int(word) for word in self._line().split()]

    def wait(self) -> int:
        """Return 0 when the command has succeeded, 1 when it has failed or was killed."""
        return int(self._line())

    def over(self, within: float) -> bool:
        """Return whether the command ends within so many seconds."""
        return bool(select.select([self.process.stdout], [], [], within)[0])

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@pytest.fixture(scope="session")
def forking() -> Iterator[Forking]:
    """A process from which commands are forked, started for the first test that needs it."""
    forking = Forking()
    with forking.process:
        yield forking
        forking.process.kill()


@pytest.fixture
def on_two_ranks(forking: Forking, tmp_path: Path) -> Callable[[Sequence[str], Path], None]:
    """Run a command as two processes, and see that they shared the work."""

    def run(words: Sequence[str], out: Path) -> None:
        log = tmp_path / "ranks.log"
        forking.start(words, log, ranks=2)
        assert forking.wait() == 0, log.read_text()[-2000:]
        assert read_record(out).machine["processes"] == 2  # or each would have done all of the work

    return run


@pytest.fixture
def killed_when(forking: Forking, tmp_path: Path) -> Callable[[Sequence[str], Callable[[], bool]], None]:
    """Run a command in a process that is killed as soon as something holds."""

    def run(words: Sequence[str], due: Callable[[], bool]) -> None:
        (process,) = forking.start(words, tmp_path / "killed.log")
        while not due() and not forking.over(within=0.002):
            pass
        with contextlib.suppress(ProcessLookupError):  # it may just have come to its end
            os.kill(process, signal.SIGKILL)
        forking.wait()

    return run


@pytest.fixture
def by_torchrun() -> Callable[[Sequence[str], Path], None]:
    """Run a command as two processes of torchrun itself, which takes longer; else as `on_two_ranks`."""

    def run(words: Sequence[str], out: Path) -> None:
        import torch

        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
        done = subprocess.run(
            [*launch, "-m", "rarescene.cli", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert read_record(out).machine["processes"] == 2

    return run


@pytest.fixture
def bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have bfloat16 computed, by emulation if the processor lacks it."""
    from rarescene.training import ranks

    monkeypatch.setattr(ranks, "has_bfloat16", lambda device: True)
