"""The loss of a mask transformer (Cheng et al., 2022, section 3.2.3), on labelled pixels alone.

transformers has this loss too, but samples its points anywhere: a point on an ignored pixel counts as
background of every mask. Here points are centres of labelled pixels, in the matching as in the loss, so that:

- the loss is a function of the mask logits at labelled pixels, and of the class logits; no label is made up
  for an ignored pixel, and what is predicted there costs nothing;
- a class that only ignored pixels could show is no target;
- a scene without a labelled pixel costs nothing, its class logits included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor


class Answer(NamedTuple):
    """What the queries say after one decoder layer.

    Attributes:
        classes: logits `(B, Q, C + 1)`; the last class is "no object".
        masks: logits `(B, Q, h, w)` on a grid of cells that covers the (padded) image.
    """

    classes: Tensor
    masks: Tensor


class Matches(NamedTuple):
    """The N pairs of a query and a class of its scene that were matched: three int64 tensors `(N,)`."""

    scene: Tensor
    query: Tensor
    label: Tensor


class LabelledPixels:
    """The labelled pixels of a batch, from which points are sampled.

    Args:
        masks: int64 `(B, H, W)` of class ids, `ignore_index` where unlabelled.
        classes: number of classes C.
        ignore_index: id of the pixels that count for nothing.
        extent: height and width that the grid of cells covers, in pixels; beyond H and W it is padding.
    """

    def __init__(self, masks: Tensor, classes: int, ignore_index: int, extent: tuple[int, int]) -> None:
        self.ids = masks.flatten(1)  # (B, HW)
        labelled = self.ids != ignore_index
        self.counts = labelled.sum(dim=1)  # (B,)
        self.order = labelled.byte().argsort(dim=1, descending=True, stable=True)  # the labelled ones first
        shown = torch.zeros(len(masks), classes + 1, dtype=torch.bool, device=masks.device)
        shown.scatter_(1, self.ids.masked_fill(~labelled, classes), True)
        self.present = shown[:, :classes]  # (B, C): the classes that are targets
        self.width, self.extent = masks.shape[-1], extent

    def sample(self, scenes: Tensor, points: int) -> Tensor:
        """Return pixels `(N, points)`, sampled evenly, with replacement, from the labelled ones of N scenes.

        The samples come from torch's global random generator.
        """
        counts = self.counts[scenes].clamp(min=1)[:, None]
        samples = (torch.rand(len(scenes), points, device=counts.device) * counts).long()
        return self.order[scenes[:, None], samples.minimum(counts - 1)]

    def read(self, masks: Tensor, pixels: Tensor) -> Tensor:
        """Return mask logits `(N, c, P)` of `(N, c, h, w)` at the centres of pixels `(N, P)`.

        They are those that bilinear interpolation to the resolution of the image gives.
        """
        height, width = self.extent
        rows, columns = pixels.div(self.width, rounding_mode="floor"), pixels % self.width
        places = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=-1)
        places = places[:, :, None].to(masks.dtype)  # (N, P, 1, 2), from -1 to 1
        return F.grid_sample(masks, places, padding_mode="border", align_corners=False)[..., 0]


@dataclass(frozen=True)
class MaskLoss:
    """Matching, then cross entropy of the classes, and cross entropy and Dice of the matched masks at points.

    Attributes:
        points: points K a mask.
        class_weight: of the cross entropy over classes, in the loss as in the matching.
        mask_weight: of the cross entropy over points, likewise.
        dice_weight: of the Dice term over points, likewise.
        no_object: weight of the class "no object" in the cross entropy over classes.
        oversample: candidates a point, from which the most uncertain are chosen.
        importance: share of the points that is chosen so; the others are sampled evenly.
    """

    points: int
    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0
    no_object: float = 0.1
    oversample: int = 3
    importance: float = 0.75

    def __call__(
        self, answers: Sequence[Answer], masks: Tensor, ignore_index: int, extent: tuple[int, int]
    ) -> Tensor:
        """Return the loss of a batch, summed over the decoder layers (deep supervision).

        Args:
            answers: one a decoder layer, in float32.
            masks: int64 `(B, H, W)` of class ids, `ignore_index` where unlabelled.
            ignore_index: id of the pixels that count for nothing.
            extent: height and width that the answers' cells cover; the mask is their upper left part.

        Returns:
            A scalar; 0, with a zero gradient, where no pixel of the batch is labelled. Points are sampled
            from torch's global random generator.
        """
        pixels = LabelledPixels(masks, answers[0].classes.shape[-1] - 1, ignore_index, extent)
        return torch.stack([self._layer(answer, pixels) for answer in answers]).sum()

    def _layer(self, answer: Answer, pixels: LabelledPixels) -> Tensor:
        matches = self.match(answer, pixels)
        mask, dice = self._masks(answer, pixels, matches)
        classes = self._classes(answer, pixels, matches)
        return self.class_weight * classes + self.mask_weight * mask + self.dice_weight * dice

    @torch.no_grad()
    def match(self, answer: Answer, pixels: LabelledPixels) -> Matches:
        """Give every class that a scene shows the query that costs least, no query to two (Hungarian)."""
        scenes = torch.arange(len(answer.classes), device=answer.classes.device)
        chosen = pixels.sample(scenes, self.points)  # (B, K), the same for all queries and classes
        logits = pixels.read(answer.masks, chosen)  # (B, Q, K)
        ids = pixels.ids.gather(1, chosen)[..., None]  # (B, K, 1)
        classes = torch.arange(answer.classes.shape[-1] - 1, device=ids.device)
        truth = (ids == classes).to(logits.dtype)  # (B, K, C)

        likely = answer.classes.softmax(dim=-1)[..., :-1]  # (B, Q, C)
        # -y log s(x) - (1 - y) log(1 - s(x)) = softplus(x) - y x
        cross_entropy = (F.softplus(logits).sum(-1, keepdim=True) - logits @ truth) / self.points
        cover = logits.sigmoid()
        both, sizes = cover @ truth, cover.sum(-1, keepdim=True) + truth.sum(dim=1, keepdim=True)
        dice = 1 - (2 * both + 1) / (sizes + 1)
        cost = -self.class_weight * likely + self.mask_weight * cross_entropy + self.dice_weight * dice
        cost = cost.nan_to_num().cpu()  # a network that diverged is found by its loss, not here

        found = []
        for scene, shown in enumerate(pixels.present.cpu()):
            labels = shown.nonzero()[:, 0]
            query, column = map(torch.from_numpy, linear_sum_assignment(cost[scene][:, labels]))
            found.append(torch.stack([torch.full_like(query, scene), query, labels[column]]))
        return Matches(*torch.cat(found, dim=1).to(scenes.device))

    def _classes(self, answer: Answer, pixels: LabelledPixels, matches: Matches) -> Tensor:
        """Cross entropy over classes; a query without a match shall say "no object"."""
        no_object = answer.classes.shape[-1] - 1
        truth = torch.full(answer.classes.shape[:2], no_object, device=answer.classes.device)  # (B, Q)
        truth[matches.scene, matches.query] = matches.label
        weight = torch.where(truth == no_object, self.no_object, 1.0) * (pixels.counts > 0)[:, None]
        loss = F.cross_entropy(answer.classes.transpose(1, 2), truth, reduction="none")  # (B, Q)
        return (weight * loss).sum() / weight.sum().clamp(min=self.no_object)

    def _masks(self, answer: Answer, pixels: LabelledPixels, matches: Matches) -> tuple[Tensor, Tensor]:
        """Cross entropy and Dice of the matched masks, averaged over the masks of the batch."""
        masks = answer.masks[matches.scene, matches.query][:, None]  # (N, 1, h, w)
        chosen = self._uncertain(masks.detach(), pixels, matches)  # (N, K)
        logits = pixels.read(masks, chosen)[:, 0]  # (N, K)
        truth = (pixels.ids[matches.scene[:, None], chosen] == matches.label[:, None]).to(logits.dtype)

        cross_entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(dim=1)
        cover = logits.sigmoid()
        dice = 1 - (2 * (cover * truth).sum(dim=1) + 1) / (cover.sum(dim=1) + truth.sum(dim=1) + 1)
        count = max(1, len(masks))
        return cross_entropy.sum() / count, dice.sum() / count

    def _uncertain(self, masks: Tensor, pixels: LabelledPixels, matches: Matches) -> Tensor:
        """Sample points `(N, K)` for N masks, most of them where a mask is least certain (PointRend)."""
        candidates = pixels.sample(matches.scene, self.oversample * self.points)
        certainty = pixels.read(masks, candidates)[:, 0].abs()
        count = int(self.importance * self.points)
        uncertain = candidates.gather(1, certainty.topk(count, dim=1, largest=False).indices)
        return torch.cat([uncertain, pixels.sample(matches.scene, self.points - count)], dim=1)
