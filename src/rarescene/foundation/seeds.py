"""Seeds by meaning: each random number has a name, and a name gives the same number on every machine."""

from __future__ import annotations

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that depends on every part and on their order.

    `derive_seed(seed, "noise", index)` gives the noise of one pair, whatever the batch, rank or resumed run
    that samples it.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
