"""What every generator of ours must keep: the contract of `rarescene.testing`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from rarescene.diffusion import SAMPLERS, DiffusionConfig, SamplingConfig, SelfPerceptualConfig
from rarescene.foundation.plugins import methods
from rarescene.generators import (
    CasdmConfig,
    ConditionalDdpmConfig,
    DatasetGan,
    DatasetGanConfig,
    ImageVqGan,
    ImageVqGanLearner,
    JointLatent,
    JointLatentConfig,
    JointLatentLearner,
    LabelCondition,
    LatentScales,
    MaskVqGan,
    MaskVqGanLearner,
    PairCodec,
    SdmConfig,
    encode_scenes,
)
from rarescene.generators.label_branch import LabelEnsemble
from rarescene.scenes import Request, SceneCache
from rarescene.testing import checks
from rarescene.testing.toys import moved_off_zero

from .gan_toy import GAN, generator
from .test_prompted_maps import CONFIG as MAPS
from .test_vq_gan import IMAGES, MASKS
from .toy import NETWORK
from .toy_pairs import CONFIG as JOINT

SHARED: dict[str, Any] = {
    "height": 16, "width": 16, "network": NETWORK, "diffusion": DiffusionConfig(prediction="v")
}  # fmt: skip
SAMPLED = [SamplingConfig(sampler=sampler, steps=4).settled(4) for sampler in SAMPLERS]


def datasetgan(config: DatasetGanConfig, scenes: SceneCache) -> DatasetGan:
    network = generator(config)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        labels = LabelEnsemble(network.feature_channels, len(scenes.classes), config.labels)
    return DatasetGan(network, labels, config, scenes.classes)


def joint(config: JointLatentConfig, scenes: SceneCache) -> JointLatent:
    table = scenes.classes
    images = ImageVqGan(ImageVqGanLearner(IMAGES, table, 0).network, IMAGES, table)
    masks = MaskVqGan(MaskVqGanLearner(MASKS, table, 0).network, MASKS, table)
    codec = PairCodec(images, masks, config.network.stride)
    scales = LatentScales.of(encode_scenes(codec, scenes.take, len(scenes), mirrored=False))
    condition, shown = LabelCondition(config, table), [Request.from_mask(one.mask, table) for one in scenes]
    learner = JointLatentLearner(config, condition, codec.channels, shown, seed=0)
    return JointLatent(moved_off_zero(learner.network), config, codec, scales, condition)


GIVEN: dict[str, dict[str, Any]] = {
    "casdm": {
        "config": CasdmConfig(
            **SHARED, self_perceptual=SelfPerceptualConfig(weight=0.1, warmup_steps=3, refresh_every=2)
        ),
        "options": SAMPLED,
    },
    "sdm": {"config": SdmConfig(**SHARED, finetune_share=0.5), "options": SAMPLED},
    "conditional_ddpm": {"config": ConditionalDdpmConfig(**SHARED), "options": SAMPLED},
    "maps": {
        "config": replace(MAPS, representation="colours"),
        "options": [way | {"guidance": guidance} for way in SAMPLED for guidance in (1.0, 2.0)],
    },
    "image_vqgan": {"config": IMAGES},
    "mask_vqgan": {"config": MASKS},
    "joint_latent": {
        "config": JOINT,
        "make": joint,
        "options": [way | {"guidance": guidance} for way in SAMPLED for guidance in (1.0, 2.0)],
    },
    "datasetgan": {"config": GAN, "make": datasetgan, "exact": True},
}
"""CASDM's second loss, like SDM's fine-tune, begins at step 3: resumed from 2 before it, from 4 in it."""


@pytest.mark.parametrize(
    "check", [one for name, given in GIVEN.items() for one in checks(methods("generators")[name], **given)]
)
def test_contract(check: Callable[[], None]) -> None:
    check()


def test_all_generators_are_tested() -> None:
    assert set(GIVEN) == set(methods("generators"))
