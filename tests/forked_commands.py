"""Commands in processes of their own, forked from one that has imported what they need.

A new process imports for longer than a small run takes. Here the imports are paid once; each process is one
of its own all the same, that can be killed, or told by the variables of torchrun that it is one of several.

Run as a program, it reads one line of JSON a command: the words, the variables, the threads of torch, the
file that takes what is printed, and how many ranks. It answers with the ranks' process ids, and in the end
with 0, or 1 if one of them failed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

import accelerate  # noqa: F401
import torch

import rarescene.commands.segment
import rarescene.commands.synthesize
import rarescene.commands.train
import rarescene.generators.joint_latent
import rarescene.generators.prompted_maps
import rarescene.generators.vq_gan  # noqa: F401
from rarescene.cli import main

PATIENCE = 300
"""Seconds after which a rank is stopped."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rank(words: list[str], variables: dict[str, str], threads: int, log: str) -> None:
    """Run the command as one rank, and end this process."""
    status = 1
    try:
        signal.alarm(PATIENCE)
        with Path(log).open("a") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        os.environ.clear()
        os.environ.update(variables)
        torch.set_num_threads(threads)
        status = main(words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run(words: list[str], variables: dict[str, str], threads: int, log: str, ranks: int) -> int:
    """Run the command, as several ranks if need be; when one fails, stop the others."""
    common: dict[str, str] = {}
    if ranks > 1:
        common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        common |= {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
    left = []
    for place in range(ranks):
        own = common | {"RANK": str(place), "LOCAL_RANK": str(place)} if ranks > 1 else {}
        child = os.fork()
        if child == 0:
            rank(words, variables | own, threads, log)
        left.append(child)
    print(*left, flush=True)
    status = 0
    while left:
        child, how = os.wait()
        left.remove(child)
        if how and not status:
            status = 1
            for other in left:
                os.kill(other, signal.SIGKILL)
    return status


if __name__ == "__main__":
    for line in sys.stdin:
        print(run(**json.loads(line)), flush=True)
