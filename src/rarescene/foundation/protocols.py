"""The contracts between rooms. Any source of pairs × any segmenter × any strategy meets in these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from rarescene.scenes import Request


@dataclass(frozen=True)
class Batch:
    """Scenes of one training step.

    Attributes:
        images: float32 `(B, 3, H, W)` in [-1, 1].
        masks: int64 `(B, H, W)` of class ids, the ignore index where unlabelled.
        seeds: one seed a scene, from which its augmentation, timestep and noise are sampled.
    """

    images: Tensor
    masks: Tensor
    seeds: Sequence[int]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Pairs:
    """Synthetic scenes.

    Attributes:
        images: float32 `(B, 3, H, W)` in [-1, 1].
        masks: int64 `(B, H, W)` of class ids.
        confidence: float32 `(B, H, W)` in [0, 1], of each pixel's class; None where a method has none.
    """

    images: Tensor
    masks: Tensor
    confidence: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)


@runtime_checkable
class Segmenter(Protocol):
    """Learns p(mask | image)."""

    def loss(self, images: Tensor, masks: Tensor) -> Tensor:
        """Return the scalar training loss; ignored pixels never enter it."""
        ...

    def predict(self, images: Tensor) -> Tensor:
        """Return class probabilities `(B, C, H, W)`."""
        ...


@runtime_checkable
class BayesianSegmenter(Segmenter, Protocol):
    """A segmenter that also knows what it does not know."""

    def posterior(self, images: Tensor, samples: int | None = None) -> Tensor:
        """Return the probabilities of M posterior samples, `(M, B, C, H, W)`.

        By default as many as a prediction rests on; an ensemble has no more than members, whatever is asked
        for.
        """
        ...


@runtime_checkable
class ImageGenerator(Protocol):
    """Learned p(image | mask)."""

    def generate(self, masks: Tensor, *, seeds: Sequence[int], sampler: str, steps: int) -> Tensor:
        """Return images `(B, 3, H, W)` in [-1, 1] for masks `(B, H, W)`.

        Image i depends on mask i and seed i alone.
        """
        ...


@runtime_checkable
class Inserter(Protocol):
    """A generator that can draw into a scene that is there already."""

    def insert(
        self,
        images: Tensor,
        masks: Tensor,
        regions: Tensor,
        *,
        before: Tensor,
        seeds: Sequence[int],
        margin: int,
        emphasis: float,
    ) -> Tensor:
        """Draw a region of each scene anew; beyond its margin the scene stays as it was, pixel for pixel.

        Args:
            images: float32 `(B, 3, H, W)` in [-1, 1], the scenes.
            masks: int64 `(B, H, W)`, what they shall show.
            regions: bool `(B, H, W)`, where they are drawn anew.
            before: int64 `(B, H, W)`, what the scenes show now.
            seeds: one a scene; image i depends on scene i and seed i alone.
            margin: pixels around the region in which the scene changes over to what is drawn.
            emphasis: s in ε_before + s (ε_masks − ε_before); 1 is none, more draws the classes of the region
                more plainly, away from what was there before.

        Returns:
            float32 `(B, 3, H, W)` in [-1, 1].
        """
        ...


@runtime_checkable
class PairGenerator(Protocol):
    """Learned p(image, mask | request). How it generates, its sampler for instance, is its own matter."""

    def generate(self, requests: Sequence[Request], *, seeds: Sequence[int]) -> Pairs:
        """Return a pair for each request. Pair i depends on request i and seed i alone."""
        ...


@dataclass(frozen=True)
class Predicted:
    """What a segmenter says of some scenes, beside their labels.

    Attributes:
        probabilities: `(B, C, H, W)`, at the size that is scored.
        masks: int64 `(B, H, W)` of class ids, the ignore index where unlabelled, at that size.
        groups: the recording of each scene.
        posterior: posterior samples `(M, B, C, h, w)` at the size of the segmenter's images; None without.
        small: the masks at that size, int64 `(B, h, w)`.
    """

    probabilities: Tensor
    masks: Tensor
    groups: Sequence[str]
    posterior: Tensor | None
    small: Tensor


@runtime_checkable
class Meter(Protocol):
    """Gathers what a metric needs, batch by batch."""

    def update(self, predicted: Predicted) -> None:
        """Take in some scenes."""
        ...

    def result(self) -> Any:
        """Return the scores; their `to_dict` gives JSON values."""
        ...


@runtime_checkable
class Strategy(Protocol):
    """How synthetic pairs join the training of a segmenter. It knows no trainer, so it fits any loop."""

    def extend(self, scenes: Sequence[int]) -> Sequence[int]:
        """Return the longer list of scene indices to sample from, given those of the real training scenes."""
        ...

    def weights(self) -> Sequence[float] | None:
        """Return sampling weights of the extended list, or None for uniform drawing."""
        ...

    def mix(self, batch: Batch) -> Batch:
        """Return the batch of one step, with some of its scenes replaced where the strategy does so."""
        ...

    def refresh(self, segmenter: Segmenter, validation: Sequence[Batch]) -> Mapping[str, Any]:
        """Look at the segmenter at a validation and return what was decided, and why."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed run needs to go on as if it had never stopped."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` returned."""
        ...

    def close(self) -> None:
        """End what goes on in the background; call it once the training is over, or has failed."""
        ...
