"""The U-Net that sees prompts: what it listens to, and what it does not."""

from __future__ import annotations

import pytest
import torch

from rarescene.foundation.errors import ConfigError
from rarescene.networks import PromptUNet, PromptUNetConfig

CONFIG = PromptUNetConfig(
    channels=(16, 32),
    attention_strides=(4,),
    blocks_per_level=1,
    head_channels=16,
    prompt_channels=24,
    patch=2,
)
CLASSES, WIDTH = 5, 12


def network() -> PromptUNet:
    torch.manual_seed(0)
    made = PromptUNet(CONFIG, 3, CLASSES, WIDTH).eval()
    for weight in made.parameters():
        weight.data += 0.05 * torch.randn(weight.shape)  # new attention layers answer 0
    return made


def inputs(batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(batch)
    asked = torch.rand(batch, CLASSES, generator=generator) < 0.5
    asked[0] = False
    return (
        torch.randn(batch, 3, 8, 12, generator=generator),
        torch.randint(1000, (batch,), generator=generator),
        torch.randn(batch, CLASSES, WIDTH, generator=generator),
        asked,
    )


@torch.inference_mode()
@pytest.mark.parametrize("batch", [1, 3])
def test_what_is_not_asked_is_not_heard(batch: int) -> None:
    made, (noisy, t, prompts, asked) = network(), inputs(batch)
    output = made(noisy, t, prompts, asked)
    assert output.shape == noisy.shape
    other = torch.where(asked[..., None], prompts, torch.full_like(prompts, 7.0))
    assert torch.equal(made(noisy, t, other, asked), output)


@torch.inference_mode()
def test_what_is_asked_is_heard_and_which_class_it_is_too() -> None:
    made, (noisy, t, prompts, _) = network(), inputs(1)
    one, other, none = (torch.zeros(1, CLASSES, dtype=torch.bool) for _ in range(3))
    one[0, 1], other[0, 2] = True, True
    prompts[0, 2] = prompts[0, 1]  # the same words
    outputs = [made(noisy, t, prompts, asked) for asked in (one, other, none)]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (outputs[a] - outputs[b]).abs().max() > 1e-3


@torch.inference_mode()
def test_a_map_depends_on_no_other_of_its_batch() -> None:
    made, (noisy, t, prompts, asked) = network(), inputs(3)
    together = made(noisy, t, prompts, asked)
    alone = torch.cat(
        [made(noisy[i : i + 1], t[i : i + 1], prompts[i : i + 1], asked[i : i + 1]) for i in range(3)]
    )
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {"patch": 3}, {"channels": ()}, {"channels": (12,)}, {"attention_strides": (3,)},
        {"head_channels": 24}, {"blocks_per_level": 0},
    ],
)  # fmt: skip
def test_sizes_that_do_not_fit_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        PromptUNetConfig(**{"channels": (16, 32), "attention_strides": (2,), "head_channels": 16} | values)  # type: ignore[arg-type]
