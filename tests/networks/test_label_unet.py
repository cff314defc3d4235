"""The U-Net that is told classes: what it listens to, and what it does not."""

from __future__ import annotations

import pytest
import torch

from rarescene.networks import LabelUNet, PromptUNetConfig

CONFIG = PromptUNetConfig(channels=(32, 64), attention_strides=(2,), blocks_per_level=1, head_channels=16)
CLASSES, CHANNELS = 5, 6


def network(config: PromptUNetConfig = CONFIG) -> LabelUNet:
    torch.manual_seed(0)
    made = LabelUNet(config, CHANNELS, CLASSES).eval()
    for weight in made.parameters():
        weight.data += 0.05 * torch.randn(weight.shape)
    return made


def inputs(batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(batch)
    return (
        torch.randn(batch, CHANNELS, 4, 8, generator=generator),
        torch.randint(1000, (batch,), generator=generator),
        (torch.rand(batch, CLASSES, generator=generator) < 0.5).float(),
    )


@torch.inference_mode()
@pytest.mark.parametrize("batch", [1, 3])
def test_a_scene_is_told_of_its_own_condition_alone(batch: int) -> None:
    made, (noisy, t, labels) = network(), inputs(batch)
    asked = torch.arange(batch) % 2 == 0
    together = made(noisy, t, labels, asked)
    assert together.shape == noisy.shape
    for row in range(batch):
        own = slice(row, row + 1)
        alone = made(noisy[own], t[own], labels[own], asked[own])
        torch.testing.assert_close(together[own], alone, atol=1e-4, rtol=1e-3)
    other = torch.where(asked[:, None], labels, 1 - labels)
    assert torch.equal(made(noisy, t, other, asked), together)


@torch.inference_mode()
def test_every_class_is_heard_and_so_is_that_nothing_was_asked() -> None:
    made, (noisy, t, _) = network(), inputs(1)
    yes, no = torch.tensor([True]), torch.tensor([False])
    outputs = [made(noisy, t, torch.eye(CLASSES)[[row]], yes) for row in range(CLASSES)]
    outputs += [made(noisy, t, torch.zeros(1, CLASSES), asked) for asked in (yes, no)]
    for one in range(len(outputs)):
        for other in range(one):
            assert (outputs[one] - outputs[other]).abs().max() > 1e-3, (one, other)


@torch.inference_mode()
def test_the_condition_reaches_every_norm() -> None:
    """Adaptive group norm: each residual block scales and shifts by the embedding."""
    made = network()
    blocks = [part for part in made.modules() if type(part).__name__ == "ResnetBlock2D"]
    assert len(blocks) == 2 * 1 + 2 + 2 * 2  # encoder, middle, decoder
    assert {block.time_embedding_norm for block in blocks} == {"scale_shift"}


def test_attention_stands_at_the_strides_that_were_set() -> None:
    paper = PromptUNetConfig(
        channels=(224, 448, 896, 1344), attention_strides=(2, 4, 8), blocks_per_level=2, head_channels=64
    )
    with torch.device("meta"):
        made = LabelUNet(paper, 8, 13)
    down = [[layer.heads for layer in getattr(block, "attentions", [])] for block in made.unet.down_blocks]
    assert down == [[], [7, 7], [14, 14], [21, 21]]
    up = [[layer.heads for layer in getattr(block, "attentions", [])] for block in made.unet.up_blocks]
    assert up == [[21] * 3, [14] * 3, [7] * 3, []]


@torch.inference_mode()
def test_a_folding_stem_keeps_the_size() -> None:
    config = PromptUNetConfig(
        channels=(32, 32), attention_strides=(), blocks_per_level=1, head_channels=16, patch=2
    )
    noisy, t, labels = inputs(2)
    assert network(config)(noisy, t, labels, torch.tensor([True, False])).shape == noisy.shape
