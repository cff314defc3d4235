"""Runs that several processes make together, each once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rarescene.foundation.console import say
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.outputs import alone_in, sweep
from rarescene.recipes.run_store import Planned, RunStore, finished


class Shared(Planned):
    """A run of several processes, with a lock beside it."""

    def made(self) -> Path:
        """Return the folder of the finished run, as for any; a lock that a kill has left goes, too."""
        if self.there:
            sweep(_lock(self.path), self.path, wait=True)
        return super().made()


class SharedStore(RunStore):
    """Runs that several processes make together: one waits for what another makes.

    Attributes:
        made: names of the runs that this process has made.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.made: list[str] = []
        self._failed: dict[str, Exception] = {}

    def planned(
        self,
        kind: str,
        content: Mapping[str, Any],
        make: Callable[[Path], None],
        complete: Callable[[Path], bool] | None = None,
    ) -> Planned:
        """Return a run at its address. One that failed is not tried again in this process."""
        done = complete or finished

        def once(out: Path) -> None:
            if out.name in self._failed:
                raise self._failed[out.name]
            lock = _lock(out)
            with ExitStack() as stack:
                try:
                    stack.enter_context(alone_in(lock, out))
                except ConfigError as error:
                    say(f"waiting for {out.name}: {error.what}")
                    stack.enter_context(alone_in(lock, out, wait=True))
                if done(out):
                    return
                try:
                    make(out)
                except Exception as error:
                    self._failed[out.name] = error
                    raise
                self.made.append(out.name)

        planned = super().planned(kind, content, once, done)
        return Shared(planned.path, planned.make, planned.complete)


def _lock(out: Path) -> Path:
    return out.with_name(f".{out.name}.rarescene")
