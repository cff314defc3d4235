"""What every segmenter must keep, whatever its network."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rarescene.foundation.methods import SegmenterMethod
from rarescene.foundation.protocols import BayesianSegmenter, Segmenter
from rarescene.segmenters import build_segmenter, load_segmenter, save_segmenter
from rarescene.testing.toys import IGNORE, TABLE, scratch, toy_batch

CLASSES = len(TABLE)


@dataclass(frozen=True)
class Subject:
    """A segmenter under test.

    Attributes:
        method: its declaration.
        config: small options, with which it learns two scenes of 64 × 64 within 240 steps; by default its
            own.
    """

    method: SegmenterMethod
    config: Any = None

    @property
    def options(self) -> Any:
        """The options to test with."""
        return self.method.config() if self.config is None else self.config

    def build(self, seed: int = 0) -> Any:
        """Return a network that is ready to be trained."""
        torch.manual_seed(seed)
        return build_segmenter(self.options, CLASSES, IGNORE)

    def deal(self, *parts: Tensor) -> list[Tensor]:
        """Return a batch as the loss takes it: an ensemble deals it, so that each member gets all of it."""
        members = self.method.members(self.options)
        return [part.repeat(members, *[1] * (part.ndim - 1)) for part in parts]

    def loss(self, network: Any, images: Tensor, masks: Tensor) -> Tensor:
        """Return the loss of these scenes."""
        loss: Tensor = network.loss(*self.deal(images, masks))
        return loss


def fulfils_the_protocol(of: Subject) -> None:
    """It is a `Segmenter`, and a `BayesianSegmenter` where its declaration says so; it knows its options."""
    network = of.build()
    assert network.config == of.options
    assert isinstance(network, Segmenter)
    assert isinstance(network, BayesianSegmenter) == of.method.bayesian
    assert of.method.training(of.options).steps > 0
    assert of.method.cell(of.options) > 0


def probabilities_sum_to_one_at_any_size(of: Subject) -> None:
    """`predict` gives `(B, C, H, W)` for images of any height and width, and the loss takes them."""
    network = of.build()
    for height, width in ((64, 64), (33, 50), (96, 40), (7, 5)):
        images, masks = toy_batch(3, height, width)
        probabilities = network.predict(images)
        assert probabilities.shape == (3, CLASSES, height, width)
        assert (probabilities >= 0).all()
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(3, height, width))
        assert of.loss(network, images, masks).isfinite()


def posterior_samples_are_probabilities(of: Subject) -> None:
    """`posterior` gives `(M, B, C, H, W)`, the prediction is a mean of samples, and they are not all one."""
    if not of.method.bayesian:
        return
    network, (images, _) = of.build(), toy_batch(2)
    samples = network.posterior(images)
    assert samples.shape[1:] == (2, CLASSES, 64, 64)
    torch.testing.assert_close(samples.sum(dim=2), torch.ones(len(samples), 2, 64, 64))
    assert len(network.posterior(images, 2)) == 2
    assert len(samples) > 1
    assert (samples[0] - samples[1]).abs().max() > 0


def scenes_of_a_batch_do_not_influence_one_another(of: Subject) -> None:
    """The prediction of an image is the same alone and among others, within 1e-5."""
    network, (images, _) = of.build(), toy_batch(3)
    together = network.predict(images)
    for index in range(3):
        alone = network.predict(images[index : index + 1])[0]
        torch.testing.assert_close(alone, together[index], atol=1e-5, rtol=0)


def the_answer_depends_on_the_image(of: Subject) -> None:
    """Two images have two predictions."""
    first, second = of.build().predict(toy_batch(2)[0])
    assert (first - second).abs().max() > 1e-3


def prediction_is_repeatable_and_changes_nothing(of: Subject) -> None:
    """Two predictions are equal to the bit, in training too; modes and weights are left alone."""
    network, (images, _) = of.build().train(), toy_batch(2)
    before = copy.deepcopy(network.state_dict())
    assert torch.equal(network.predict(images), network.predict(images))
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def a_scene_without_labels_counts_for_nothing(of: Subject) -> None:
    """Beside labelled scenes it leaves the loss as it is; alone it costs 0, and its gradient is 0."""
    network, (images, masks) = of.build().eval(), toy_batch(3)
    masks[2] = IGNORE
    losses = []
    for count in (2, 3):
        torch.manual_seed(0)
        losses.append(of.loss(network, images[:count], masks[:count]).item())
    assert abs(losses[0] - losses[1]) < 0.02 * abs(losses[0])  # what is random in a loss may differ
    loss = of.loss(network.train(), images, torch.full_like(masks, IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert all(weight.grad is not None and not weight.grad.any() for weight in network.parameters())


def every_weight_learns(of: Subject) -> None:
    """Each has a gradient within two steps: a layer may start with weights of 0, which hide another."""
    network, (images, masks) = of.build().eval(), toy_batch(3)
    still = dict(network.named_parameters())
    for _ in range(2):
        network.zero_grad()
        of.loss(network, images, masks).backward()
        still = {name: each for name, each in still.items() if each.grad is None or not each.grad.any()}
        torch.optim.SGD(network.parameters(), lr=1e-4).step()
    assert list(still) == []


def the_seed_decides_the_weights(of: Subject) -> None:
    """They come from torch's global random generator and from nowhere else."""
    first, same, other = (list(of.build(seed).parameters()) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def bf16_stays_close_and_learns(of: Subject) -> None:
    """Under autocast to bfloat16 answers and loss are float32, and close to those in float32."""
    network, (images, masks) = of.build(), toy_batch(3)
    exact = network.predict(images)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network.predict(images)
        loss = of.loss(network, images, masks)
    loss.backward()
    assert loss.dtype == rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, atol=0.05, rtol=0)
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())


def overfits_two_scenes(of: Subject) -> None:
    """Within 240 steps every class of two scenes has an IoU above 0.9, over the labelled pixels."""
    network, (images, masks) = of.build().train(), toy_batch(2)
    masks[0, :4] = IGNORE
    labelled = masks != IGNORE
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    overlaps = [0.0]
    for step in range(1, 241):
        optimizer.zero_grad()
        network(*of.deal(images, masks))["loss"].backward()
        optimizer.step()
        if step % 40 == 0:
            answer = network.predict(images).argmax(dim=1)
            pairs = [((masks == entry)[labelled], (answer == entry)[labelled]) for entry in range(CLASSES)]
            overlaps = [((truth & found).sum() / (truth | found).sum()).item() for truth, found in pairs]
            if min(overlaps) > 0.9:
                break
    assert min(overlaps) > 0.9, overlaps


def comes_back_from_disk_with_equal_answers(of: Subject) -> None:
    """`save_segmenter` and `load_segmenter` keep options, classes and answers, to the bit."""
    network, (images, masks) = of.build(), toy_batch(3)
    of.loss(network, images, masks)  # moves running statistics, where there are any
    with scratch() as folder:
        save_segmenter(network, folder, TABLE)
        loaded, table = load_segmenter(folder, TABLE)
    assert table == TABLE
    assert (loaded.config, loaded.ignore_index, loaded.training) == (of.options, IGNORE, False)
    assert torch.equal(loaded.predict(images), network.predict(images))
