"""Floor 2: where pairs come from, one file a method."""

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

__all__, __getattr__, __dir__ = open_door(
    __name__,
    {
        "Casdm": "casdm",
        "CasdmConfig": "config",
        "CasdmLearner": "casdm",
        "ConditionalDdpm": "conditional_ddpm",
        "ConditionalDdpmConfig": "config",
        "ConditionalDdpmLearner": "conditional_ddpm",
        "IMAGE_GENERATORS": "loading",
        "ImageDiffusion": "image_diffusion",
        "ImageDiffusionConfig": "config",
        "ImageDiffusionLearner": "image_diffusion",
        "LabelBranchLearner": "label_branch",
        "LatentEncoderLearner": "latent_encoder",
        "ImageVqGan": "vq_gan",
        "ImageVqGanConfig": "config",
        "ImageVqGanLearner": "vq_gan",
        "JointLatent": "joint_latent",
        "JointLatentConfig": "config",
        "JointLatentLearner": "joint_latent",
        "LabelCondition": "conditions",
        "LatentBatches": "latents",
        "LatentScales": "latents",
        "MapCode": "map_codes",
        "MapsThenImages": "two_stage",
        "PairCodec": "latents",
        "MaskVqGan": "vq_gan",
        "MaskVqGanConfig": "config",
        "MaskVqGanLearner": "vq_gan",
        "PerceptualDistance": "vq_losses",
        "PromptBook": "prompts",
        "PromptConfig": "config",
        "PromptedMaps": "prompted_maps",
        "PromptedMapsConfig": "config",
        "PromptedMapsLearner": "prompted_maps",
        "Sdm": "sdm",
        "SdmConfig": "config",
        "SdmLearner": "sdm",
        "StyleGan2Learner": "stylegan2_training",
        "choose_frames": "latent_encoder",
        "TextCondition": "conditions",
        "DatasetGan": "datasetgan",
        "DatasetGanConfig": "datasetgan_config",
        "encode_scenes": "latents",
        "load_image_generator": "loading",
        "measure_latents": "stylegan2_training",
        "perplexity": "codebook_care",
        "rare_scene_weights": "prompted_maps",
        "refine": "latent_encoder",
        "remove_specks": "specks",
        "separated_palette": "map_codes",
        "touching_classes": "map_codes",
        "train_labels": "label_branch",
    },
)

if TYPE_CHECKING:
    from rarescene.generators.casdm import Casdm, CasdmLearner
    from rarescene.generators.codebook_care import perplexity
    from rarescene.generators.conditional_ddpm import ConditionalDdpm, ConditionalDdpmLearner
    from rarescene.generators.conditions import LabelCondition, TextCondition
    from rarescene.generators.config import (
        CasdmConfig,
        ConditionalDdpmConfig,
        ImageDiffusionConfig,
        ImageVqGanConfig,
        JointLatentConfig,
        MaskVqGanConfig,
        PromptConfig,
        PromptedMapsConfig,
        SdmConfig,
    )
    from rarescene.generators.datasetgan import DatasetGan
    from rarescene.generators.datasetgan_config import DatasetGanConfig
    from rarescene.generators.image_diffusion import ImageDiffusion, ImageDiffusionLearner
    from rarescene.generators.joint_latent import JointLatent, JointLatentLearner
    from rarescene.generators.label_branch import LabelBranchLearner, train_labels
    from rarescene.generators.latent_encoder import LatentEncoderLearner, choose_frames, refine
    from rarescene.generators.latents import LatentBatches, LatentScales, PairCodec, encode_scenes
    from rarescene.generators.loading import IMAGE_GENERATORS, load_image_generator
    from rarescene.generators.map_codes import MapCode, separated_palette, touching_classes
    from rarescene.generators.prompted_maps import PromptedMaps, PromptedMapsLearner, rare_scene_weights
    from rarescene.generators.prompts import PromptBook
    from rarescene.generators.sdm import Sdm, SdmLearner
    from rarescene.generators.specks import remove_specks
    from rarescene.generators.stylegan2_training import StyleGan2Learner, measure_latents
    from rarescene.generators.two_stage import MapsThenImages
    from rarescene.generators.vq_gan import ImageVqGan, ImageVqGanLearner, MaskVqGan, MaskVqGanLearner
    from rarescene.generators.vq_losses import PerceptualDistance
