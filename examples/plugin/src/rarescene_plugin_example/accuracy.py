"""A metric: the share of labelled pixels that are right, of each class and of all."""

from __future__ import annotations

from typing import Any

from rarescene.foundation.methods import Column, MetricMethod, in_per_cent


class Accuracy:
    """Counts pixels by class, right ones and all; it is its own result."""

    def __init__(self, classes: int) -> None:
        self.right, self.pixels = [0] * classes, [0] * classes

    def update(self, predicted: Any) -> None:
        answer, masks = predicted.probabilities.argmax(1), predicted.masks
        for entry in range(len(self.pixels)):
            shown = masks == entry
            self.right[entry] += int((answer[shown.to(answer.device)] == entry).sum())
            self.pixels[entry] += int(shown.sum())

    def result(self) -> Accuracy:
        return self

    def to_dict(self) -> dict[str, Any]:
        return {"right": self.right, "pixels": self.pixels}


def columns(found: Any) -> list[Column]:
    """Return one column, in per cent."""
    right, pixels = ([*found[name], sum(found[name])] for name in ("right", "pixels"))
    *cells, whole = [in_per_cent(a / b if b else None) for a, b in zip(right, pixels, strict=True)]
    return [Column("accuracy", cells, {"all pixels": whole})]


ACCURACY = MetricMethod(
    name="accuracy", summary="the share of pixels that are right", columns=columns,
    build=lambda table, segmenter: Accuracy(len(table)),
)  # fmt: skip
