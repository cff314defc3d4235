"""The class-aware losses of CASDM (Eq. 6, 7, 8) and the measure of their gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rarescene.diffusion.config import ClassAwareConfig, Pooling
from rarescene.diffusion.schedule import NoiseSchedule


def class_weight_map(
    masks: Tensor,
    classes: int,
    ignore_index: int,
    config: ClassAwareConfig,
    boost: Mapping[int, float] | None = None,
) -> Tensor:
    """Return the weight of every pixel: Eq. 7 of its class, as the config asks.

    With n_c labelled pixels of class c and b_c its boost (1 without), the classes present in a map get
    w_c = b_c (HW/n_c)^e / Σ_j b_j (HW/n_j)^e, absent ones 0; e = 1 and b = 1 are Eq. 7. Then, per image:

    1. w is divided by its mean over the labelled pixels. Ignored pixels get 1, the mean weight.
    2. A cap c turns w into min(s·w, c), where s keeps the mean at 1.
    3. A plain share p turns w into (1−p)·w + p.
    4. `balanced` stops here: the mean over the image is 1, and without options mean(w e²) over the labelled
       pixels is the mean of the present classes' MSEs. `paper` returns to the scale of Eq. 7 by the mean that
       step 1 took out, so that mean(w e²) is (1/HW) Σ_p w_c(p) e_p². `plain` is 1 everywhere.

    A map that is all ignored weighs 1 everywhere, in every mode.

    Args:
        masks: int64 `(B, H, W)` of class ids.
        classes: number of classes; ids are 0 to `classes` − 1.
        ignore_index: id of unlabelled pixels.
        config: mode, exponent, cap and plain share. Its `class_boost` speaks of names; `boost` has the ids.
        boost: factor by class id.

    Returns:
        float32 `(B, H, W)`, without gradient.
    """
    if config.mode == "plain":
        return torch.ones_like(masks, dtype=torch.float32)
    batch, height, width = masks.shape
    labelled = masks != ignore_index
    # Ignored pixels are counted in a column of their own behind the classes.
    columns = masks.masked_fill(~labelled, classes).flatten(1)  # (B, HW)
    counts = torch.zeros(batch, classes + 1, device=masks.device)
    counts.scatter_add_(1, columns, torch.ones_like(columns, dtype=counts.dtype))
    counts = counts[:, :classes]  # (B, C)
    total = counts.sum(1, keepdim=True)  # (B, 1)

    # Eq. 7
    present = counts > 0
    weights = torch.where(present, (height * width / counts.clamp_min(1)) ** config.exponent, 0.0)
    for class_id, factor in (boost or {}).items():
        weights[:, class_id] *= factor
    weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-30)

    mean = (counts * weights).sum(1, keepdim=True) / total.clamp_min(1)
    weights = weights / mean.clamp_min(1e-30)
    if config.cap is not None:
        weights = _capped(weights, counts, config.cap)
    weights = (1 - config.plain_share) * weights + config.plain_share
    weights = torch.cat(
        [weights, torch.ones_like(total)], dim=1
    )  # (B, C + 1): ignored pixels have the mean weight
    if config.mode == "paper":
        weights = weights * torch.where(total > 0, mean, 1.0)
    return weights.gather(1, columns).view(batch, height, width)


def _capped(weights: Tensor, counts: Tensor, cap: float) -> Tensor:
    """Return min(s·w, cap) with s such that the mean over the labelled pixels stays 1.

    If the k heaviest classes sit at the cap, the others share what is left: s_k = (N − cap Σ_k n)/Σ_rest n w.
    The first k whose next class stays below the cap is the answer.
    """
    ordered, order = weights.double().sort(1, descending=True)  # (B, C)
    pixels = counts.double().gather(1, order)
    mass = pixels * ordered
    left = pixels.sum(1, keepdim=True) - cap * (
        pixels.cumsum(1) - pixels
    )  # (B, C): column k has k classes capped
    rest = mass.flip(1).cumsum(1).flip(1)
    scale = torch.where(rest > 0, left / rest.clamp_min(1e-30), torch.inf)
    fits = scale * ordered <= cap
    # With a cap of exactly 1 no class may stay below it: the last column then caps them all.
    first = torch.where(fits.any(1), fits.int().argmax(1), fits.shape[1] - 1)
    chosen = scale.gather(1, first[:, None])
    return torch.where(counts > 0, (weights.double() * chosen).clamp_max(cap), 0.0).to(weights.dtype)


def class_aware_mse(prediction: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return L_CAMSE (Eq. 6) of each image: the mean over channels and pixels of w e².

    Args:
        prediction: the network's output, ε̂ or v̂, `(B, C, H, W)`.
        target: what it should be, same shape.
        weights: `class_weight_map`, `(B, H, W)`.

    Returns:
        float32 `(B,)`.
    """
    squared = (prediction.float() - target.float()).square()
    return (weights[:, None] * squared).mean(dim=(1, 2, 3))


class _StraightThroughClamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor, low: float, high: float) -> Tensor:
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0], None, None


def clamp_straight_through(x: Tensor, low: float = -1.0, high: float = 1.0) -> Tensor:
    """Return x clamped to [low, high], with the gradient of the identity.

    A plain clamp sends no gradient where it saturates, which at large t is nearly all of the x̂_0 of Eq. 10.
    """
    clamped: Tensor = _StraightThroughClamp.apply(x, low, high)
    return clamped


def pool_weights(weights: Tensor, size: tuple[int, int], pool: Pooling = "max") -> Tensor:
    """Return pool(w_c) of Eq. 8: the weight map at the size of a feature map, its mean per image unchanged.

    `max` takes the greatest weight under each cell, so that a class of one pixel is seen at every size; that
    raises the mean, hence the division. `area` averages, which keeps each class's share of the loss.

    Args:
        weights: `(B, H, W)`.
        size: height and width of the feature map.
        pool: `max` or `area`.

    Returns:
        `(B, *size)`.
    """
    shrink = F.adaptive_max_pool2d if pool == "max" else F.adaptive_avg_pool2d
    pooled = shrink(weights[:, None], size)[:, 0]
    scale = weights.mean(dim=(1, 2)) / pooled.mean(dim=(1, 2))
    return pooled * scale[:, None, None]


def class_aware_self_perceptual(
    encode: Callable[[Tensor, Tensor], Sequence[Tensor]],
    x0: Tensor,
    x0_hat: Tensor,
    weights: Tensor,
    timesteps: Tensor,
    noise: Tensor,
    schedule: NoiseSchedule,
    *,
    pool: Pooling = "max",
    squared: bool = False,
) -> Tensor:
    """Return L_CASP (Eq. 8) of each image: how differently Φ sees the true and the predicted image.

    Both are noised by q(x_t′ | x_0) with the same fresh t′ and ε′ (the paper's Φ(x̂_0 + ε)). Per layer of Φ,
    the squared difference of the features is divided by the target's mean square of that channel, multiplied
    by the pooled weights and averaged; the loss is the mean over the layers, so that they count alike. With
    `squared` the weights stand inside the norm as Eq. 8 prints them, pool(w)² at the mean of w. The classes'
    maps w_c are pooled as one map, so a cell that several classes share has the weight of one of them.

    Gradient flows through `x0_hat` alone; Φ's own weights take none if the caller has frozen them.

    Args:
        encode: Φ, the frozen encoder: (x_t, t) to feature maps `(B, C_l, H_l, W_l)`.
        x0: the true images `(B, 3, H, W)` in [-1, 1].
        x0_hat: the predicted ones (Eq. 10), clamped straight-through.
        weights: `class_weight_map`, `(B, H, W)`.
        timesteps: t′, int64 `(B,)`.
        noise: ε′, like `x0`.
        schedule: the schedule of training.
        pool: how the weights shrink, see `pool_weights`.
        squared: whether the weights count squared.

    Returns:
        float32 `(B,)`.
    """
    with torch.no_grad():
        wanted = encode(schedule.add_noise(x0, noise, timesteps), timesteps)
    found = encode(schedule.add_noise(x0_hat, noise, timesteps), timesteps)
    layers = []
    for features, goal in zip(found, wanted, strict=True):
        features, goal = features.float(), goal.float()  # (B, C_l, H_l, W_l)
        pooled = pool_weights(weights, (goal.shape[-2], goal.shape[-1]), pool)  # (B, H_l, W_l)
        if squared:
            # Squaring alone would also change the size of the loss, not just its balance.
            pooled = pooled.square() * (pooled.mean((1, 2)) / pooled.square().mean((1, 2)))[:, None, None]
        power = goal.square().mean(dim=(2, 3), keepdim=True)  # (B, C_l, 1, 1)
        # A channel that is silent in this image must not outshout the others.
        power = power.maximum(0.01 * power.mean(dim=1, keepdim=True)).clamp_min(1e-8)
        # Eq. 8
        layers.append((pooled[:, None] * (features - goal).square() / power).mean(dim=(1, 2, 3)))
    return torch.stack(layers).mean(dim=0)


def gradient_norms(losses: Mapping[str, Tensor], wrt: Tensor) -> dict[str, float]:
    """Return the L2 norm of each scalar loss's gradient at `wrt`, for instance at the network's output.

    The graph is kept, so training can go on with `backward`. A loss that does not reach `wrt` has norm 0.
    """
    norms = {}
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(loss, wrt, retain_graph=True, allow_unused=True)
        norms[name] = 0.0 if gradient is None else float(gradient.float().norm())
    return norms
