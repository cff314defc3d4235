"""`insert`: what is known while a region is drawn anew, what it is asked for, and what is left alone.

What every generator that has it must keep is in the contract of `rarescene.testing`; here is what is true of
one kind, or needs to look inside.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from rarescene.diffusion import SAMPLERS, DiffusionConfig, Known, guided, sample
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.protocols import Pairs
from rarescene.foundation.seeds import derive_seed
from rarescene.generators import JointLatent, PairCodec
from rarescene.generators.margins import soft_margin
from rarescene.networks import one_hot_layout
from rarescene.scenes import pad_images, pad_masks

from .test_image_generators import every, trained
from .toy import TABLE, maps
from .toy_pairs import CONFIG, untrained

V = DiffusionConfig(prediction="v")


def frames(count: int, height: int = 16, width: int = 16) -> dict[str, Tensor]:
    """Return scenes of the toy, a blue square to be drawn into each: arguments of `insert`."""
    before = maps(count, height, width)
    regions = torch.zeros(before.shape, dtype=torch.bool)
    for place, region in enumerate(regions):
        region[5 : 9 + place, 6:10] = True
    images = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return {"images": images, "masks": before.masked_fill(regions, 2), "regions": regions, "before": before}


def joint(**changes: Any) -> JointLatent:
    return untrained(replace(CONFIG, diffusion=V, **changes))


def passes(network: torch.nn.Module) -> list[tuple[Tensor, ...]]:
    """Return a list that gets the inputs of each pass of a network."""
    seen: list[tuple[Tensor, ...]] = []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    return seen


# Of image generators


@every
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (15, 18)])
def test_it_is_the_sampler_with_the_frame_known(name: str, sampler: str, height: int, width: int) -> None:
    """Against both passes of an emphasis from the bare layouts, padded by hand; SDM also has a variance."""
    generator, given, seeds = trained(name), frames(2, height, width), [1, 2]
    network, stride = generator.network, generator.config.network.stride
    layouts = [one_hot_layout(pad_masks(given[one], stride), len(TABLE)) for one in ("masks", "before")]
    known = Known(pad_images(given["images"], stride), pad_images(soft_margin(given["regions"], 1), stride))
    denoise = guided(
        lambda x_t, t: network(x_t, t, layouts[0]), lambda x_t, t: network(x_t, t, layouts[1]), 1.5
    )
    expected = sample(
        denoise, known.x0.shape[1:], seeds, generator.schedule, sampler=sampler, steps=4,
        learned_variance=name == "sdm", known=known,
    )[:, :, :height, :width]  # fmt: skip
    guidance = {"guidance": 1.0} if generator.knows_guidance else {}
    drawn = generator.insert(
        **given, seeds=seeds, margin=1, emphasis=1.5, sampler=sampler, steps=4, **guidance
    )
    torch.testing.assert_close(drawn, expected, rtol=1e-3, atol=1e-3)


@every
def test_without_emphasis_nobody_asks_what_was_there_before(name: str) -> None:
    generator, given = trained(name), frames(2)
    elsewhere = {**given, "before": torch.zeros_like(given["before"])}

    def drawn(emphasis: float) -> tuple[Tensor, Tensor]:
        one, other = (
            generator.insert(**these, seeds=[1, 2], emphasis=emphasis, steps=3)
            for these in (given, elsewhere)
        )
        return one, other

    assert torch.equal(*drawn(1.0))
    assert not torch.equal(*drawn(2.0))


@every
def test_what_is_free_everywhere_is_generated(name: str) -> None:
    generator, given = trained(name), frames(2)
    given["regions"] = torch.ones_like(given["regions"])
    drawn = generator.insert(**given, seeds=[1, 2], steps=4)
    torch.testing.assert_close(drawn, generator.generate(given["masks"], seeds=[1, 2], steps=4))


def test_guidance_and_emphasis_go_together_and_the_variance_is_that_of_the_map() -> None:
    """Each map is told with and without guidance; a wider variance changes ancestral sampling alone."""
    generator, given = trained("sdm"), frames(2)
    seen = passes(generator.network)
    drawn = {
        (guidance, emphasis): generator.insert(
            **given, seeds=[1, 2], sampler="ddpm", steps=3, guidance=guidance, emphasis=emphasis
        )
        for guidance, emphasis in ((1.0, 1.0), (2.0, 1.0), (1.0, 2.0), (2.0, 2.0))
    }
    assert len(seen) == 3 * (1 + 2 + 2 + 4)
    ways = list(drawn.values())
    assert all((ways[i] - ways[j]).abs().max() > 1e-3 for i in range(4) for j in range(i))
    wider = trained("sdm")
    wider.network.head.bias.data[3 * wider.config.network.patch**2 :] += 1.0
    for sampler, differs in (("ddpm", True), ("ddim", False)):
        one, other = (
            made.insert(**given, seeds=[1, 2], sampler=sampler, steps=3, emphasis=2.0)
            for made in (generator, wider)
        )
        assert torch.equal(one, other) is not differs


@pytest.mark.parametrize("name", ["casdm", "conditional_ddpm"])
def test_who_knows_no_guidance_has_an_emphasis_all_the_same(name: str) -> None:
    generator, given = trained(name), frames(1)
    with pytest.raises(ConfigError, match="knows no guidance"):
        generator.insert(**given, seeds=[1], guidance=2.0, steps=2)
    assert generator.insert(**given, seeds=[1], emphasis=2.0, steps=2).isfinite().all()


# Of the joint generator


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (21, 26)])
@pytest.mark.parametrize("margin", [0, 3])
def test_beyond_the_margin_the_frame_stays_to_the_bit(
    count: int, height: int, width: int, margin: int
) -> None:
    """Also where sides need padding: 8 pixels make one of the coarsest cells."""
    generator, given = joint(height=height, width=width), frames(count, height, width)
    drawn = generator.insert(**given, seeds=range(count), margin=margin, steps=3)
    assert drawn.shape == given["images"].shape
    beyond = soft_margin(given["regions"], margin).expand_as(drawn) == 0
    assert torch.equal(drawn[beyond], given["images"][beyond])
    within = given["regions"][:, None].expand_as(drawn)
    assert (drawn != given["images"])[within].float().mean() > 0.9


def test_a_batch_of_one_draws_what_a_batch_of_three_draws() -> None:
    generator, given = joint(), frames(3)
    together = generator.insert(**given, seeds=[4, 5, 6], emphasis=1.5, steps=4)
    for place in range(3):
        one = {name: part[place : place + 1] for name, part in given.items()}
        alone = generator.insert(**one, seeds=[4 + place], emphasis=1.5, steps=4)
        torch.testing.assert_close(alone[0], together[place], atol=2e-3, rtol=0)


@pytest.mark.parametrize("sampler", ["dpm-solver++", "ddim", "unipc"])
def test_the_mask_s_latents_are_known_at_every_step(sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """z_mask at each step is that of the composed mask, noised; so is z_image beyond region and margin."""
    generator, given, seeds = joint(), frames(2), [1, 2]
    z_0 = generator.scales.standardise(generator.codec.encode(given["images"], given["masks"]))
    # Of 4×4 latents of 4×4 pixels each, those are drawn that hold any pixel of region or margin.
    known = torch.ones_like(z_0, dtype=torch.bool)
    known[:, : generator.codec.channels[0], 1:3, 1:3] = False
    seen, decoded, decode = passes(generator.network), list[Tensor](), PairCodec.decode

    def watched(self: PairCodec, z: Tensor, height: int, width: int) -> Pairs:
        decoded.append(generator.scales.standardise(z))
        return decode(self, z, height, width)

    monkeypatch.setattr(PairCodec, "decode", watched)
    generator.insert(**given, seeds=seeds, margin=1, sampler=sampler, steps=6)
    random = [torch.Generator().manual_seed(derive_seed(seed, "sampling")) for seed in seeds]
    noise = torch.stack([torch.randn(z_0.shape[1:], generator=one) for one in random])
    assert len(seen) == 6
    for z_t, t, *_ in seen:
        expected = generator.schedule.add_noise(z_0, noise, t)
        torch.testing.assert_close(z_t[known], expected[known], atol=2e-3, rtol=0)
        assert (z_t - expected)[~known].abs().max() > 0.05 or t[0] == len(generator.schedule) - 1
    torch.testing.assert_close(decoded[0][known], z_0[known], atol=2e-3, rtol=0)
    assert (decoded[0] - z_0)[~known].abs().median() > 0.1


def test_it_is_asked_for_the_classes_of_both_masks() -> None:
    """Scene 0 shows blue with the square alone; scene 1 shows it anyhow, and so no emphasis changes it."""
    generator, given = joint(), frames(2)
    seen = passes(generator.network)
    plain, plainer = (
        generator.insert(**given, seeds=[1, 2], emphasis=emphasis, steps=3) for emphasis in (1.0, 3.0)
    )
    after, before = torch.tensor([[1.0, 1, 1], [1, 0, 1]]), torch.tensor([[1.0, 1, 0], [1, 0, 1]])
    told = [inputs[2] for inputs in seen]
    assert len(told) == 3 + 2 * 3  # without emphasis nobody asks what was there before
    for found, expected in zip(told, [after] * 3 + [after, before] * 3, strict=True):
        assert torch.equal(found, expected)
    assert (plain - plainer)[0].abs().max() > 1e-3
    torch.testing.assert_close(plain[1], plainer[1], atol=2e-3, rtol=0)


def test_what_is_refused_in_generating_is_refused_here() -> None:
    given = frames(1)
    with pytest.raises(ConfigError, match=r"sampling\.steps is 2000"):
        joint().insert(**given, seeds=[1], steps=2000)
    with pytest.raises(ConfigError, match="never trained without its condition"):
        joint(condition_dropout=0.0).insert(**given, seeds=[1], guidance=2.0)
