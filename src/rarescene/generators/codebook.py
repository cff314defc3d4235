"""Codes that nothing is near to are dead weight: how many live, and how the dead are revived."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rarescene.foundation.seeds import derive_seed
from rarescene.training import over_ranks

MEMORY = 0.02
"""Share of a step in the moving histogram of the codes: it remembers about fifty steps."""


class CodebookCare(nn.Module):
    """Watches which codes are used, and replaces those that are not by latents of the last batch.

    A codebook that begins at random is met by few latents, and a code that no latent is nearest to gets no
    gradient: without care most of a codebook is never used. All of it is replaced after the first step, and
    from then on, every `revive_every` steps, the codes that have not been used for as many. Latents far from
    their code are taken with a chance that grows with the square of that distance (as k-means++ begins), so
    that rare contents, a thin class for instance, get codes of their own.

    What is sampled depends on (seed, step) and the batch alone and is the same on all ranks. The average of
    the weights takes up the new codes at once: drawn towards them step by step it would hold codes in
    between, which mean nothing.

    Args:
        codes: length of the codebook.
        channels: of a code.
        revive_every: steps without use after which a code is replaced.
        seed: of the sampling.
    """

    idle: Tensor
    share: Tensor
    fresh: Tensor

    def __init__(self, codes: int, channels: int, revive_every: int, seed: int) -> None:
        super().__init__()
        self.revive_every, self.seed = revive_every, seed
        self.register_buffer("idle", torch.zeros(codes, dtype=torch.int64))  # steps since a code's last use
        self.register_buffer("share", torch.zeros(codes))  # of the latents, moving
        self.register_buffer("fresh", torch.zeros(codes, channels))  # latents to revive codes with

    def renew(self, step: int, codebook: Tensor, average: Tensor) -> None:
        """Replace dead codes before a step, in the codebook and in its average, both `(codes, channels)`."""
        self.idle += 1
        if step == 1:
            dead = torch.ones_like(self.idle, dtype=torch.bool)
        elif self._due(step):
            dead = self.idle > self.revive_every
        else:
            return
        with torch.no_grad():
            for codes in (codebook, average):
                codes[dead] = self.fresh[dead]
        self.idle[dead] = 0

    @torch.no_grad()
    def observe(self, latents: Tensor, codes: Tensor, codebook: Tensor, step: int) -> dict[str, Tensor]:
        """Take note of a batch.

        Args:
            latents: before the codebook, `(B, channels, h, w)`.
            codes: the nearest code of each, int64 `(B, h, w)`.
            codebook: `(codes, channels)`.
            step: the step that they belong to.

        Returns:
            Scalars to log: `perplexity`, e to the entropy of the codes of about the last fifty steps; and
            `codes_in_use`, the share of codes that were used in the last `revive_every` steps.
        """
        codes = over_ranks(codes.flatten())
        counts = torch.bincount(codes, minlength=len(self.idle))
        self.idle.masked_fill_(counts > 0, 0)
        self.share.lerp_(counts / counts.sum(), MEMORY)
        if step == 0 or self._due(step + 1):
            latents = over_ranks(latents.detach().permute(0, 2, 3, 1).flatten(0, 2))  # (Bhw, channels)
            far = (latents - codebook[codes]).square().sum(1).double().cpu() + 1e-12
            # A loss that is no longer finite is for the loop to report, not for the sampling to stumble over.
            far = far.nan_to_num(nan=1.0, posinf=1.0)
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "codes", step))
            sampled = torch.multinomial(far, len(self.fresh), replacement=True, generator=generator)
            self.fresh.copy_(latents[sampled.to(latents.device)])
        return {
            "perplexity": perplexity(self.share),
            "codes_in_use": (self.idle < self.revive_every).float().mean(),
        }

    def _due(self, step: int) -> bool:
        return step % self.revive_every == 0


def perplexity(counts: Tensor) -> Tensor:
    """Return e to the entropy of a histogram `(codes,)`: as many codes, equally used, would be as varied."""
    share = counts / counts.sum()
    return torch.special.entr(share).sum().exp()
