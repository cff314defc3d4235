"""Ctrl+C and SIGTERM during a training: the step that runs is ended and kept, and nothing of it is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ASKS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether somebody asked the training to stop.

    Attributes:
        asked: the number of the signal, or None.
    """

    asked: int | None = None

    def now(self) -> KeyboardInterrupt:
        """Return what ends the command, with the exit status that belongs to the signal."""
        return KeyboardInterrupt(128 + (self.asked or signal.SIGINT))


@contextmanager
def stops_after_step(alone: bool) -> Iterator[Stop]:
    """Let a first Ctrl+C or SIGTERM be noted, and a second one stop at once.

    Args:
        alone: whether this process trains by itself. Of several ranks each may be in another step, and none
            could wait for the others: they stop at once.
    """
    stop = Stop()
    if not alone or threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: object) -> None:
        if stop.asked is not None:
            raise stop.now()
        stop.asked = number

    before = {number: signal.signal(number, ask) for number in _ASKS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
