"""How a map of class ids becomes numbers that diffusion can work on, and ids again.

`colours`: three channels, a colour a class, as in the paper; the colours are chosen so that they lie as far
apart as they can. `bits`: the binary digits of the id as -1 and 1 (analog bits, Chen et al. 2022), ours.
`one_hot`: a channel a class, centred, ours; in it alone the mixture of two classes is never a third.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from rarescene.generators.prompted_maps_config import Representation

_ROUNDS = 600
_STARTS = 20


class MapCode:
    """A code word for each class.

    Attributes:
        words: float32 `(C, K)` in [-1, 1].
    """

    def __init__(self, words: np.ndarray) -> None:
        self.words = torch.tensor(words, dtype=torch.float32)

    @classmethod
    def of(cls, representation: Representation, touching: np.ndarray) -> MapCode:
        """Return the code of a representation for classes that touch each other so often, `(C, C)`."""
        if representation == "bits":
            return cls(analog_bits(len(touching)))
        if representation == "one_hot":
            return cls(np.eye(len(touching)) - 1 / len(touching))
        palette = separated_palette(len(touching))
        return cls(palette[assign_colours(palette, touching)])

    @property
    def channels(self) -> int:
        """Channels of a coded map."""
        return self.words.shape[1]

    def paint(self, masks: Tensor) -> Tensor:
        """Return masks int64 `(B, H, W)` of class ids as float32 `(B, K, H, W)`."""
        return self.words.to(masks.device)[masks].permute(0, 3, 1, 2).contiguous()

    def nearest(self, coded: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class whose word is nearest to each pixel, and how clearly it is.

        Args:
            coded: `(B, K, H, W)`.

        Returns:
            Ids, int64 `(B, H, W)`, and the confidence (d₂ − d₁)/(d₂ + d₁), float32 `(B, H, W)` in [0, 1],
            from the distances d₁ and d₂ to the nearest and the second nearest word: 1 on a word, 0 midway.
        """
        pixels = coded.float().permute(0, 2, 3, 1)  # (B, H, W, K)
        distances = torch.cdist(pixels.flatten(1, 2), self.words.to(coded.device)[None])  # (B, HW, C)
        shape = (len(coded), *coded.shape[-2:])
        if len(self.words) == 1:
            return torch.zeros(shape, dtype=torch.int64, device=coded.device), coded.new_ones(shape).float()
        (first, second), (ids, _) = (
            part.unbind(-1) for part in distances.topk(2, dim=-1, largest=False)
        )  # (B, HW) each
        confidence = (second - first) / (second + first)
        return ids.view(shape), confidence.view(shape)


def separated_palette(count: int) -> np.ndarray:
    """Return `count` colours, float64 `(count, 3)` in [-1, 1], as far apart as we find them.

    From several starts, points within the cube push each other away, with a force that counts near neighbours
    ever more. The same count gives the same colours.
    """
    if count == 1:
        return np.zeros((1, 3))
    points = np.random.default_rng(0).uniform(-1, 1, (_STARTS, count, 3))
    best, separation = points[0], 0.0
    for turn in range(_ROUNDS):
        apart = points[:, :, None] - points[:, None]  # (S, N, N, 3)
        distance = np.linalg.norm(apart, axis=-1) + np.eye(count) * 1e9
        nearest = distance.min(axis=(1, 2))  # (S,)
        if nearest.max() > separation:
            best, separation = points[nearest.argmax()], float(nearest.max())
        force = (nearest[:, None, None] / distance) ** (2 + 80 * turn / _ROUNDS)
        push = (force[..., None] * apart / distance[..., None]).sum(axis=2)
        points = np.clip(points + 0.05 * (1 - turn / _ROUNDS) * push, -1, 1)
    return np.round((best + 1) * 127.5) / 127.5 - 1  # 8-bit colours: equal on every machine


def assign_colours(palette: np.ndarray, touching: np.ndarray) -> np.ndarray:
    """Return which colour each class takes, int `(C,)`, so that borders between classes show no third class.

    Where two classes meet, a network that is not sure of the border paints a mixture of their colours. The
    mixture is nearest to a third colour c if c lies within the ball whose diameter joins the two. So colours
    are exchanged between classes, from several starts, as long as that makes such cases rarer.

    Args:
        palette: `(C, 3)`.
        touching: `(C, C)`, how often a pixel of one class lies beside one of the other.
    """
    count = len(palette)
    middles = (palette[:, None] + palette[None]) / 2  # (C, C, 3)
    radii = np.linalg.norm(palette[:, None] - palette[None], axis=-1) / 2  # (C, C)
    reach = np.linalg.norm(middles[:, :, None] - palette, axis=-1)  # (C, C, C): from middle a, b to colour c
    depth = np.clip(1.02 - reach / np.maximum(radii, 1e-9)[..., None], 0, None)
    own = np.arange(count)
    depth[own, :, own] = depth[:, own, own] = 0  # the two themselves lie on the ball
    cost = depth.sum(axis=2)  # (C, C), between colours
    weight = np.sqrt(touching + touching.T)  # (C, C), between classes; rare neighbours count too
    random = np.random.default_rng(0)
    best, least = np.arange(count), np.inf
    for _ in range(_STARTS):
        order = random.permutation(count)
        while True:
            placed = cost[np.ix_(order, order)]
            total = float((weight * placed).sum())
            # What each exchange of two classes' colours would change of the total, (C, C).
            mixed = weight @ placed
            change = 2 * (mixed + mixed.T - np.diag(mixed)[:, None] - np.diag(mixed) + 2 * weight * placed)
            one, other = np.unravel_index(change.argmin(), change.shape)
            if change[one, other] > -1e-9 * max(1.0, total):
                break
            order[[one, other]] = order[[other, one]]
        if total < least:
            best, least = order.copy(), total
    return best


def touching_classes(masks: Iterable[np.ndarray], classes: int) -> np.ndarray:
    """Return how often a pixel of one class lies left of or above one of another, float64 `(C, C)`."""
    counts = np.zeros((256, 256))
    for mask in masks:
        for here, there in ((mask[:, :-1], mask[:, 1:]), (mask[:-1], mask[1:])):
            pairs = here.astype(np.int64) * 256 + there
            counts += np.bincount(pairs.ravel(), minlength=256 * 256).reshape(256, 256)
    counts = counts[:classes, :classes]
    np.fill_diagonal(counts, 0)
    return counts


def analog_bits(count: int) -> np.ndarray:
    """Return the binary digits of 0 to `count` − 1 as float64 `(count, digits)` of -1 and 1."""
    digits = max(1, (count - 1).bit_length())
    return (np.arange(count)[:, None] >> np.arange(digits) & 1) * 2.0 - 1.0


def fill_ignored(mask: np.ndarray, ignore_index: int) -> np.ndarray:
    """Return a mask whose ignored pixels have the class of the nearest labelled one; all ignored: class 0."""
    ignored = mask == ignore_index
    if not ignored.any():
        return mask
    if ignored.all():
        return np.zeros_like(mask)
    nearest = ndimage.distance_transform_edt(ignored, return_distances=False, return_indices=True)
    return mask[tuple(nearest)]
