"""Several sets of scenes under one numbering."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rarescene.scenes.cache import SceneCache


class ScenePool:
    """Real scenes, followed by those of each synthetic set."""

    def __init__(self, caches: Sequence[SceneCache]) -> None:
        self.caches = caches
        self.starts = np.cumsum([0, *(len(cache) for cache in caches)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def presence(self) -> np.ndarray:
        """Which classes each scene shows, bool `(N, C)`."""
        return np.concatenate([cache.class_pixels > 0 for cache in self.caches])

    def take(self, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return images and masks in the order of `indices`."""
        places = np.asarray(indices)
        owners = np.searchsorted(self.starts, places, side="right") - 1
        parts = [
            (owners == owner, self.caches[owner].take(places[owners == owner] - self.starts[owner]))
            for owner in np.unique(owners)
        ]
        images, masks = (np.empty((len(places), *parts[0][1][kind].shape[1:]), np.uint8) for kind in (0, 1))
        for which, (pixels, ids) in parts:
            images[which], masks[which] = pixels, ids
        return images, masks
