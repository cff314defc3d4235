"""Floor 2: where pairs come from, one file a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rarescene.foundation.lazy import show_lazily

if TYPE_CHECKING:
    from rarescene.generators.casdm import Casdm, CasdmLearner
    from rarescene.generators.casdm_config import CasdmConfig
    from rarescene.generators.codebook import perplexity
    from rarescene.generators.conditional_ddpm import ConditionalDdpm, ConditionalDdpmLearner
    from rarescene.generators.conditional_ddpm_config import ConditionalDdpmConfig
    from rarescene.generators.conditions import LabelCondition, TextCondition
    from rarescene.generators.datasetgan import DatasetGan
    from rarescene.generators.datasetgan_config import DatasetGanConfig
    from rarescene.generators.image_diffusion import ImageDiffusion, ImageDiffusionLearner
    from rarescene.generators.image_diffusion_config import ImageDiffusionConfig
    from rarescene.generators.joint_latent import JointLatent, JointLatentLearner
    from rarescene.generators.joint_latent_config import JointLatentConfig
    from rarescene.generators.label_branch import LabelBranchLearner, train_labels
    from rarescene.generators.latent_encoder import LatentEncoderLearner, choose_frames, refine
    from rarescene.generators.latents import LatentBatches, LatentScales, PairCodec, encode_scenes
    from rarescene.generators.loading import kinds_that_generate, load_generator, load_image_generator
    from rarescene.generators.map_codes import MapCode, separated_palette, touching_classes
    from rarescene.generators.network_generator import NetworkGenerator, NetworkLearner
    from rarescene.generators.prompted_maps import PromptedMaps, PromptedMapsLearner, rare_scene_weights
    from rarescene.generators.prompted_maps_config import PromptConfig, PromptedMapsConfig
    from rarescene.generators.prompts import PromptBook
    from rarescene.generators.sdm import Sdm, SdmLearner
    from rarescene.generators.sdm_config import SdmConfig
    from rarescene.generators.small_components import remove_specks
    from rarescene.generators.stylegan2_training import StyleGan2Learner, measure_latents
    from rarescene.generators.vq_gan import ImageVqGan, ImageVqGanLearner, MaskVqGan, MaskVqGanLearner
    from rarescene.generators.vq_gan_config import ImageVqGanConfig, MaskVqGanConfig
    from rarescene.generators.vq_losses import PerceptualDistance

__all__, __getattr__, __dir__ = show_lazily(__name__, __file__)
