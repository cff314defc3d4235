"""Small pieces that a generated map shows by accident are painted over."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from scipy import ndimage

_TOUCHING = np.ones((3, 3), np.int8)  # as in requests, pixels that touch at a corner belong to one piece


def remove_specks(mask: np.ndarray, share: float, keep: Collection[int] = ()) -> np.ndarray:
    """Return a mask whose small pieces have been given to the class that surrounds them most.

    Args:
        mask: uint8 `(H, W)` of class ids.
        share: pieces below this share of the frame are specks.
        keep: classes whose largest piece is no speck, however small: those that were asked for.

    Returns:
        uint8 `(H, W)`; the mask itself where nothing is to be done.
    """
    pieces = np.zeros(mask.shape, np.int64)
    owners = [-1]  # the class of each piece; piece 0 does not exist
    spared = []
    for class_id in np.flatnonzero(np.bincount(mask.ravel())):
        labels, found = ndimage.label(mask == class_id, _TOUCHING)
        pieces += np.where(labels, labels + len(owners) - 1, 0)
        if class_id in keep:
            spared.append(len(owners) + int(np.bincount(labels.ravel())[1:].argmax()))
        owners += [int(class_id)] * found
    specks = np.bincount(pieces.ravel(), minlength=len(owners)) < share * mask.size
    specks[[0, *spared]] = False
    owner = np.array(owners)
    while specks.any() and not specks[1:].all():
        votes = np.zeros((len(owner), max(owners) + 1), np.int64)
        for here, there in _neighbours(pieces):
            crossing = specks[here] & ~specks[there]
            np.add.at(votes, (here[crossing], owner[there[crossing]]), 1)
        settled = specks & votes.any(axis=1)
        owner[settled] = votes[settled].argmax(axis=1)
        specks &= ~settled  # a speck among specks waits until one of them is settled
    return owner[pieces].astype(mask.dtype)


def _neighbours(pieces: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the pieces on both sides of every pair of pixels that share an edge, in both directions."""
    pairs = [(pieces[:, :-1].ravel(), pieces[:, 1:].ravel()), (pieces[:-1].ravel(), pieces[1:].ravel())]
    return pairs + [(there, here) for here, there in pairs]
