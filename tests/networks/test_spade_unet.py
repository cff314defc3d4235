from __future__ import annotations

import copy
import inspect
import json
from dataclasses import MISSING, asdict, fields
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rarescene.foundation.errors import ConfigError, DataError
from rarescene.networks import SpadeUNet, SpadeUNetConfig, one_hot_layout

CLASSES = 5
PATCHES = (1, 2, 4)
Inputs = tuple[Tensor, Tensor, Tensor]


def config(patch: int = 1, **changes: object) -> SpadeUNetConfig:
    settings: dict[str, object] = {
        "classes": CLASSES,
        "base_channels": 16,
        "multipliers": (1, 2, 3),
        "attention_strides": (2 * patch,),
        "head_channels": 16,
        "spade_hidden": 8,
        "patch": patch,
    }
    return SpadeUNetConfig(**settings | changes)  # type: ignore[arg-type]


def network(patch: int = 1, **changes: object) -> SpadeUNet:
    """A network whose zero-initialised layers have been moved off zero."""
    torch.manual_seed(0)
    unet = SpadeUNet.build(config(patch, **changes))
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return unet.eval()


def inputs(batch: int, height: int = 16, width: int = 32) -> Inputs:
    generator = torch.Generator().manual_seed(batch)
    noisy = torch.randn(batch, 3, height, width, generator=generator)
    timesteps = torch.randint(0, 1000, (batch,), generator=generator)
    masks = torch.randint(0, CLASSES, (batch, height, width), generator=generator)
    masks[:, :2, :3] = 255
    return noisy, timesteps, one_hot_layout(masks, CLASSES)


# The map as channels


@pytest.mark.parametrize("batch", [1, 3])
def test_layout_marks_every_pixel_once_and_undoes_by_argmax(batch: int) -> None:
    masks = torch.randint(0, CLASSES, (batch, 6, 7))
    masks[:, 2, 3] = 9
    layout = one_hot_layout(masks, CLASSES, ignore_index=9)
    assert layout.shape == (batch, CLASSES + 1, 6, 7)
    assert torch.equal(layout.sum(1), torch.ones(batch, 6, 7))
    assert torch.equal(layout.argmax(1), masks.masked_fill(masks == 9, CLASSES))


@pytest.mark.parametrize("stray", [-1, CLASSES, CLASSES + 1, 254])
def test_layout_refuses_an_id_that_is_no_class(stray: int) -> None:
    masks = torch.zeros(1, 4, 4, dtype=torch.int64)
    masks[0, 1, 2] = stray
    with pytest.raises(DataError, match=f"id {stray},"):
        one_hot_layout(masks, CLASSES)


# Cached modulation


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("precision", ["float32", "autocast", "bfloat16"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_cached_modulation_changes_no_bit(
    patch: int, batch: int, precision: str, channels_last: bool
) -> None:
    unet = network(patch)
    if precision == "bfloat16":
        for parameter in unet.parameters():
            parameter.data = parameter.data.bfloat16()
    if channels_last:
        unet.to(memory_format=torch.channels_last)
    noisy, timesteps, layout = inputs(batch, 8, 16)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
        plain, other = unet(noisy, timesteps, layout), unet(-noisy, timesteps, layout)
        everything = unet.modulate(layout)
        half = unet.modulate(layout, budget_bytes=everything.bytes // 2)
        assert plain.dtype == torch.float32
        assert plain.std() > 0.01
        assert 0 < half.bytes <= everything.bytes // 2
        assert len(half.terms) < len(everything.terms)
        for modulation in (everything, half, unet.modulate(layout, budget_bytes=0)):
            assert torch.equal(unet(noisy, timesteps, modulation), plain)
            assert torch.equal(unet(-noisy, timesteps, modulation), other)


def test_budget_counts_the_bytes_and_prefers_what_saves_most_a_byte() -> None:
    unet = network()
    layout = inputs(3)[2]
    everything = unet.modulate(layout)
    held = {id(term[0].untyped_storage()): term for term in everything.terms.values()}
    assert (
        len(held)
        == len(everything.terms)
        == sum("gamma_beta.weight" in name for name, _ in unet.named_parameters())
    )
    assert everything.bytes == sum(2 * scale.numel() * 4 for scale, _ in everything.terms.values())

    def saving(norm: object) -> float:
        operations, size = norm.cost(everything.layouts[norm.level])  # type: ignore[attr-defined]
        assert size == 2 * everything.terms[norm][0].numel() * 4  # type: ignore[index]
        return operations / size

    kept = unet.modulate(layout, budget_bytes=everything.bytes // 3).terms
    smallest_left = min(
        norm.cost(everything.layouts[norm.level])[1] for norm in everything.terms if norm not in kept
    )
    assert (
        everything.bytes // 3 - sum(norm.cost(everything.layouts[norm.level])[1] for norm in kept)
        < smallest_left
    )
    assert max(map(saving, everything.terms)) in set(map(saving, kept))


def test_one_map_serves_a_batch_and_a_foreign_modulation_is_the_bare_map() -> None:
    unet = network()
    noisy, timesteps, layout = inputs(3)
    one = layout[:1]
    with torch.inference_mode():
        repeated = unet(noisy, timesteps, one.expand(3, -1, -1, -1))
        torch.testing.assert_close(unet(noisy, timesteps, unet.modulate(one)), repeated)
        twin = copy.deepcopy(unet)
        for parameter in twin.parameters():
            parameter.mul_(1.1)
        assert torch.equal(twin(noisy, timesteps, unet.modulate(layout)), twin(noisy, timesteps, layout))


# What the network hears of the map


@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize("pixel", [(0, 0), (5, 10), (15, 31)])
def test_one_pixel_of_a_class_or_unlabelled_is_heard(patch: int, pixel: tuple[int, int]) -> None:
    unet = network(patch)
    noisy, timesteps, _ = inputs(1)
    masks = torch.zeros(1, 16, 32, dtype=torch.int64)
    with torch.inference_mode():
        bare = unet(noisy, timesteps, one_hot_layout(masks, CLASSES))
        heard = []
        for label in (3, 4, 255):
            masks[0, pixel[0], pixel[1]] = label
            heard.append(unet(noisy, timesteps, one_hot_layout(masks, CLASSES)))
    for index, output in enumerate(heard):
        assert (output - bare).abs().max() > 1e-4
        assert all((output - other).abs().max() > 1e-4 for other in heard[:index])


@pytest.mark.parametrize("patch", PATCHES)
def test_encoder_is_what_forward_uses_and_never_sees_the_map(patch: int) -> None:
    unet = network(patch)
    noisy, timesteps, layout = inputs(3)
    entered: list[Tensor] = []
    unet.middle[0].register_forward_hook(lambda _, received, __: entered.append(received[0]))
    with torch.inference_mode():
        unet(noisy, timesteps, layout)
        unet(noisy, timesteps, layout.flip(1))
        features = unet.encode(noisy, timesteps)
    assert [tuple(feature.shape) for feature in features] == [
        (3, channels, 16 // stride, 32 // stride)
        for channels, stride in zip(unet.settings.channels, unet.settings.strides, strict=True)
    ]
    assert torch.equal(entered[0], entered[1])
    assert torch.equal(entered[0], features[-1])


def test_encoder_sends_gradient_to_the_image_at_every_level() -> None:
    unet = network().requires_grad_(False)
    noisy, timesteps, _ = inputs(3)
    noisy.requires_grad_()
    for feature in unet.encode(noisy, timesteps):
        (gradient,) = torch.autograd.grad(feature.square().mean(), noisy, retain_graph=True)
        assert (gradient.flatten(1).abs().amax(1) > 0).all()


# The whole network


@pytest.mark.parametrize("patch", PATCHES)
def test_untrained_network_answers_zero(patch: int) -> None:
    noisy, timesteps, layout = inputs(3)
    output = SpadeUNet.build(config(patch, out_channels=6))(noisy, timesteps, layout)
    assert torch.equal(output, torch.zeros(3, 6, 16, 32))


@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize("batch", [1, 3])
def test_gradient_reaches_every_parameter(patch: int, batch: int) -> None:
    unet = network(patch)
    noisy, timesteps, layout = inputs(batch)
    unet(noisy, timesteps, layout).square().mean().backward()
    assert [name for name, p in unet.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


def test_scenes_of_a_batch_do_not_meet() -> None:
    unet = network()
    noisy, timesteps, layout = inputs(3)
    order = torch.tensor([2, 0, 1])
    with torch.inference_mode():
        together = unet(noisy, timesteps, layout)
        torch.testing.assert_close(unet(noisy[order], timesteps[order], layout[order]), together[order])
        for i in range(3):
            alone = unet(noisy[i : i + 1], timesteps[i : i + 1], layout[i : i + 1])
            torch.testing.assert_close(alone, together[i : i + 1], rtol=1e-4, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 0.1


def test_timestep_matters_and_one_serves_all() -> None:
    unet = network()
    noisy, _, layout = inputs(3)
    with torch.inference_mode():
        early, late = (unet(noisy, torch.tensor(t), layout) for t in (10, 900))
        assert torch.equal(early, unet(noisy, torch.tensor([10, 10, 10]), layout))
    assert (early - late).abs().max() > 1e-2


def test_channels_last_agrees_within_rounding() -> None:
    unet = network()
    noisy, timesteps, layout = inputs(3)
    with torch.inference_mode():
        contiguous = unet(noisy, timesteps, layout)
        unet.to(memory_format=torch.channels_last)
        last = unet(noisy.contiguous(memory_format=torch.channels_last), timesteps, layout)
    torch.testing.assert_close(last, contiguous, rtol=1e-4, atol=1e-4)


def test_gradient_checkpointing_changes_no_gradient() -> None:
    noisy, timesteps, layout = inputs(3)
    gradients = []
    for checkpointing in (False, True):
        unet = network(2).train()
        calls: list[int] = []
        unet.middle[0].register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        if checkpointing:
            unet.enable_gradient_checkpointing()
        unet(noisy, timesteps, layout).square().mean().backward()
        assert len(calls) == 1 + checkpointing
        gradients.append([parameter.grad for parameter in unet.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


# Config and files


def test_arguments_are_the_fields_of_the_config() -> None:
    arguments = list(inspect.signature(SpadeUNet.__init__).parameters.values())[1:]
    defaults = [
        inspect.Parameter.empty if f.default is MISSING else f.default for f in fields(SpadeUNetConfig)
    ]
    assert [(a.name, a.default) for a in arguments] == list(
        zip(asdict(SpadeUNetConfig(1)), defaults, strict=True)
    )


@pytest.mark.parametrize("patch", PATCHES)
def test_saved_network_comes_back_as_it_was(tmp_path: Path, patch: int) -> None:
    unet = network(patch)
    noisy, timesteps, layout = inputs(3)
    unet.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]
    assert json.loads((tmp_path / "config.json").read_text())["multipliers"] == [1, 2, 3]
    back = SpadeUNet.from_pretrained(tmp_path)
    assert back.settings == unet.settings == config(patch)
    with torch.inference_mode():
        assert torch.equal(back(noisy, timesteps, layout), unet(noisy, timesteps, layout))


def test_strides_count_from_the_full_resolution() -> None:
    paper = SpadeUNetConfig(classes=13)
    assert paper.strides == (1, 2, 4, 8, 16, 32)
    assert paper.channels == (256, 256, 512, 512, 1024, 1024)
    assert config(patch=4).strides == (4, 8, 16)
    assert [config(patch).stride for patch in PATCHES] == [4, 8, 16]
    attending = [
        stride
        for stride, stages in zip(config(2).strides, network(2).encoder, strict=True)
        if any(stage.attention is not None for stage in stages)
    ]
    assert attending == [4]


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": 0},
        {"patch": 3},
        {"base_channels": 12},
        {"base_channels": 0},
        {"multipliers": ()},
        {"multipliers": (1, 0)},
        {"blocks_per_level": 0},
        {"head_channels": 24},
        {"head_channels": 0},
        {"attention_strides": (3,)},
        {"attention_strides": (8,)},
        {"spade_hidden": 0},
    ],
)
def test_nonsense_is_refused_at_construction(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"\n(Set|Give|Choose) "):
        config(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("height", "width"), [(16, 30), (18, 16), (8, 24), (0, 16)])
def test_image_that_the_strides_do_not_divide_is_refused(height: int, width: int) -> None:
    unet = network(4)
    noisy, layout = torch.zeros(1, 3, height, width), torch.zeros(1, CLASSES + 1, height, width)
    for call in (lambda: unet.modulate(layout), lambda: unet.encode(noisy, torch.tensor(5))):
        with pytest.raises(ConfigError, match="multiples of 16"):
            call()


def test_map_of_another_class_table_is_refused() -> None:
    noisy, timesteps, layout = inputs(1)
    with pytest.raises(ConfigError, match=r"6 channels, the network expects 8\n"):
        network(classes=7)(noisy, timesteps, layout)
