"""Two ranks of one command after another, forked from a process that has imported what they need.

A process that torchrun starts imports for longer than a small run trains. Here the imports are paid once; each
rank is a process of its own all the same, told of its place by the variables that torchrun sets.

Run as a program, it reads one line of JSON a command: the words, the variables, the threads of torch and the
file that takes what the ranks print. It answers with the exit status.
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

RANKS = 2
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


def run(words: list[str], variables: dict[str, str], threads: int, log: str) -> int:
    """Run the command as two ranks; when one fails, stop the other."""
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    common |= {"WORLD_SIZE": str(RANKS), "LOCAL_WORLD_SIZE": str(RANKS)}
    left = set()
    for place in range(RANKS):
        child = os.fork()
        if child == 0:
            rank(words, variables | common | {"RANK": str(place), "LOCAL_RANK": str(place)}, threads, log)
        left.add(child)
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
