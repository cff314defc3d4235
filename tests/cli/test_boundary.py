"""What the machine does, and what is unexpected, never ends in a traceback on the terminal."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rarescene import cli
from rarescene.cli import main, parse
from rarescene.foundation.errors import ConfigError


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], int]:
    """Run a command that does something in place of its own work, and return the exit status."""

    def with_(work: Callable[[], object]) -> int:
        monkeypatch.setattr(cli, "parse", lambda name, words: (work, {}))
        return main(["stats", "phantom:"])

    return with_


def raising(error: BaseException) -> Callable[[], object]:
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), ["runs/a", "No space", "Free some"]),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), ["x" * 300, "shorter name"]),
        (OSError(errno.ELOOP, "Too many levels of symbolic links", "a"), ["a: ", "links that lead back"]),
        (PermissionError(errno.EACCES, "Permission denied", "runs/a"), ["runs/a", "permissions"]),
        (MemoryError(), ["memory", "smaller pictures"]),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), ["memory", "fewer of them at once"]),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), ["UTF-8", "Rename"]),
        (RecursionError("maximum recursion depth exceeded"), ["nested too deeply"]),
    ],
)  # fmt: skip
def test_what_the_machine_refuses_names_file_and_remedy(
    error: Exception, words: list[str], fails: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    assert fails(raising(error)) == 2
    said = capfd.readouterr().err
    assert [word for word in words if word not in said] == []
    assert "Traceback" not in said


def test_what_is_unexpected_is_one_line_with_a_log(
    fails: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    assert fails(raising(KeyError("nowhere"))) == 70
    said = capfd.readouterr().err
    assert "Traceback" not in said
    log = Path(re.search(r"\S+\.log", said)[0])  # type: ignore[index]
    told = log.read_text()
    assert "Traceback" in told
    assert "KeyError: 'nowhere'" in told
    assert "rarescene stats phantom:" in told
    log.unlink()


def test_termination_says_what_an_interrupt_says(
    fails: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert fails(lambda: os.kill(os.getpid(), signal.SIGTERM)) == 128 + signal.SIGTERM
    assert "--resume go on" in capfd.readouterr().err
    assert fails(raising(KeyboardInterrupt())) == 130
    assert "--resume go on" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_command_runs_in_a_thread_that_takes_no_signals(fails: Callable[..., int]) -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(fails(lambda: 0)))
    thread.start()
    thread.join()
    assert found == [0]


def test_what_the_terminal_cannot_show_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", shown)
    assert main(["--help"]) == 0
    shown.flush()
    assert b"usage: rarescene COMMAND ?" in shown.buffer.getvalue()  # type: ignore[attr-defined]


def test_whoever_reads_may_stop_reading() -> None:
    code = "import sys; from rarescene.cli import main; sys.exit(main(['--help']))"
    program = subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    program.stdout.close()
    assert "Traceback" not in program.communicate()[1]
    assert program.returncode == 128 + signal.SIGPIPE


@pytest.mark.parametrize(
    ("words", "what", "remedy"),
    [
        ("segment unet --training.learning_rate .nan", "training.learning_rate is nan", "finite"),
        ("segment unet --training.validate_every -1", "training.validate_every is -1", "from 0 to"),
        ("segment unet --height 0", "height is 0", "from 16 to 16,384"),
        ("segment unet --seed 9223372036854775808", "seed is 9223372036854775808", "whole number"),
        ("segment unet --classic.crop 2", "classic.crop is 2.0", "from 0 to 1"),
        ("segment unet --gauda.drawing.budget .inf", "gauda.drawing.budget is inf", "finite"),
        ("segment unet --fractions [.nan,0.5,0.5]", "fractions is nan", "finite"),
        ("segment phiseg --model.samples 0", "model.samples is 0", "from 1 to"),
        ("train casdm --model.training.steps 0", "model.training.steps is 0", "from 1 to"),
        ("train casdm --model.diffusion.beta_end 1", "model.diffusion.beta_end is 1.0", "below 1"),
        ("train datasetgan --model.labels.gain 1", "model.labels.gain is 1.0", "below 1"),
        ("synthesize r --sampling.guidance 1e38", "sampling.guidance is 1e+38", "from 0 to 100"),
        ("synthesize r --count 0", "count is 0", "from 1 to"),
        ("maps r --map_sampling.tries 100000", "map_sampling.tries is 100000", "from 1 to 10,000"),
        ("stats d --frame_share -1", "frame_share is -1.0", "from 0 to 1"),
        ("curate r --keep 0", "keep is 0.0", "above 0 to 1"),
        ("predict r i --opacity 1.5", "opacity is 1.5", "from 0 to 1"),
        ("evaluate r --samples 0", "samples is 0", "from 1 to"),
        ("export coco --width 20000", "width is 20000", "from 1 to 16,384"),
        ("phantom o --size 8", "size is 8", "from 16 to"),
        ("demo --pairs 0", "pairs is 0", "from 1 to"),
    ],
)  # fmt: skip
def test_a_number_out_of_bounds_is_named_with_its_sections(words: str, what: str, remedy: str) -> None:
    first, *others = words.split()
    name = f"{first} {others.pop(0)}" if first in ("segment", "train", "export") else first
    needs = [] if first in ("stats", "phantom", "demo", "evaluate") else ["--out", "o"]
    needs += ["--data", "d"] if first in ("segment", "train", "evaluate") else []
    with pytest.raises(ConfigError) as told:
        parse(name, [*others, *needs])
    assert told.value.what == what
    assert remedy in told.value.remedy


def test_a_part_of_the_split_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        parse("maps", ["r", "--out", "o", "--part", "nonsense"])


def test_a_number_out_of_bounds_names_the_file_that_says_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("model:\n  network:\n    spade_hidden: 0\n")
    with pytest.raises(ConfigError, match=r"model\.network\.spade_hidden is 0") as told:
        parse("train casdm", ["--data", "d", "--out", "o", "--config", str(path)])
    assert told.value.path == path


LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(("text", "why"), [(LAUGHS, "too large"), ("a: &a [*a]\n", "too deeply")])
def test_a_yaml_file_that_becomes_endless_is_refused(
    text: str, why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    for words in (
        ["stats", str(path)],
        ["stats", "phantom:", "--config", str(path)],
        ["segment", "unet", "--data", "phantom:videos=3,frames=1,size=16", "--split", str(path),
         "--out", str(tmp_path / "run")],
    ):  # fmt: skip
        assert main(words) == 2
        said = capfd.readouterr().err
        assert why in said
        assert "mine.yaml" in said


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_no_file_has_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (
        ["stats", f"folder:{name}"],
        ["stats", "phantom:videos=1,frames=1", "--out", name],
        ["evaluate", name, "--data", "phantom:"],
        ["predict", "r", name, "--out", "o"],
    ):
        assert main(words) == 2
        assert "remedy" in capfd.readouterr().err
