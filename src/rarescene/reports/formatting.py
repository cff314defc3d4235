"""How numbers are put into words: the same way in the terminal, on the page and on the cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rarescene.evaluation import Interval

SCORES = {"iou": "IoU", "dice": "Dice"}
ABSENT = "absent"
MINUS = "−"


def percent(fraction: float | None, digits: int = 1, missing: str = ABSENT) -> str:
    """Return a fraction in per cent, without the sign: 0.3125 becomes `31.2`."""
    return missing if fraction is None else f"{100 * fraction:.{digits}f}"


def share(fraction: float | None) -> str:
    """Return a share for a table of frequencies: `8.6 %`, `0.24 %`, `<0.01 %`, `0 %`."""
    if fraction is None:
        return "–"
    if fraction == 0:
        return "0 %"
    if fraction < 0.0001:
        return "<0.01 %"
    return f"{100 * fraction:.2f} %" if fraction < 0.01 else f"{100 * fraction:.1f} %"


def signed(fraction: float | None, missing: str = "–") -> str:
    """Return a difference in points of per cent, with its sign: 0.042 becomes `+4.2`."""
    if fraction is None:
        return missing
    text = f"{100 * fraction:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def interval(bounds: Interval | None, digits: int = 1) -> str:
    """Return the bounds in per cent, `[25.0, 38.1]`, or nothing where there are none."""
    return "" if bounds is None else f"[{percent(bounds.low, digits)}, {percent(bounds.high, digits)}]"


def with_interval(value: float | None, bounds: Interval | None, missing: str = ABSENT) -> str:
    """Return a score in per cent with its interval, where there is one: `31.2 [25.0, 38.1]`."""
    return f"{percent(value, missing=missing)} {interval(bounds)}".strip()


def signed_interval(bounds: Interval | None) -> str:
    """Return the bounds of a difference in points, `[−1.2, +7.5]`, or nothing where there are none."""
    return "" if bounds is None else f"[{signed(bounds.low)}, {signed(bounds.high)}]"


def effect(value: float | None) -> str:
    """Return Cohen's d with its sign and two digits."""
    return "–" if value is None else f"{value:+.2f}".replace("-", MINUS)


def p_value(value: float | None) -> str:
    """Return a p-value; small ones as a bound."""
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def number(value: float | None) -> str:
    """Return a number of any size with four significant digits."""
    if value is None:
        return "–"
    return f"{value:.4g}".replace("-", MINUS)


def short(value: float | None) -> str:
    """Return a number in as few characters as tell it: two significant digits, `0.031`, `2.4e−05`."""
    if value is None:
        return "–"
    return f"{value:.2g}".replace("-", MINUS)


def count(many: int, thing: str, plural: str = "") -> str:
    """Return `1 recording`, `3 recordings`, `12,480 pixels`."""
    return f"{many:,} {thing if many == 1 else plural or thing + 's'}"


def listing(words: Sequence[str]) -> str:
    """Return words as a phrase: `a`, `a and b`, `a, b and c`."""
    if len(words) <= 1:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
