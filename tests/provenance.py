"""A provenance, of which a test says only what matters to it."""

from __future__ import annotations

from typing import Any

from rarescene.foundation.provenance import Provenance, Seen

SPLIT: dict[str, Any] = {"split": "recording", "fractions": None, "split_seed": 0, "group_by": None}


def provenance(**fields: Any) -> Provenance:
    """Return the provenance of four scenes in a folder, but for what is given."""
    usual: dict[str, Any] = {
        "spec": "folder:x", "name": "x", "scenes": 4, "split": "recording", "options": SPLIT,
        "recordings": {"train": ("a",), "validation": (), "test": ("b",)}, "licence": "mine",
        "phantom": False, "grouping": {fields.get("name", "x"): None}, "seen": Seen({"a": None}),
    }  # fmt: skip
    return Provenance(**{**usual, **fields})
