"""What is particular to one network."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rarescene.foundation.errors import ConfigError
from rarescene.foundation.plugins import method_for
from rarescene.segmenters import Mask2FormerConfig, SegFormerConfig, UNetConfig, build_segmenter
from rarescene.segmenters.mask2former import Mask2Former
from rarescene.segmenters.mask_loss import Answer
from rarescene.segmenters.segformer import SegFormer
from rarescene.segmenters.unet import UNet


def cell(config: object) -> float:
    """Return the side of an output cell."""
    side: float = method_for("segmenters", config).cell(config)
    return side


@pytest.mark.parametrize(("size", "millions"), [("b0", 3.7), ("b1", 13.7), ("b2", 27.5)])
def test_segformer_has_the_published_size(size: str, millions: float) -> None:
    """Table 1 of the SegFormer paper, with its 150 classes."""
    with torch.device("meta"):
        segmenter = SegFormer(SegFormerConfig(size), 150)  # type: ignore[arg-type]
    weights = sum(weight.numel() for weight in segmenter.parameters()) / 1e6
    assert weights == pytest.approx(millions, rel=0.025)


def test_segformer_tells_places_apart_from_the_start() -> None:
    """The depth-wise convolutions keep their signal; with the library's own start they lose 94 % of it."""
    torch.manual_seed(0)
    segmenter = build_segmenter(SegFormerConfig("tiny"), 5)
    layers = [m for m in segmenter.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    signal = torch.randn(1, layers[0].in_channels, 16, 16)
    assert len(layers) == 4
    assert 1 < layers[0](signal).std() < 2


def test_segformer_weights_are_saved_under_their_published_names() -> None:
    segmenter = build_segmenter(SegFormerConfig("b0"), 5)
    names = {segmenter.name_in_file(name).removeprefix("network.") for name in segmenter.state_dict()}
    assert len(names) == len(segmenter.state_dict())
    assert names >= {
        "segformer.encoder.patch_embeddings.0.proj.weight",
        "segformer.encoder.patch_embeddings.3.layer_norm.bias",
        "segformer.encoder.block.0.1.attention.self.query.weight",
        "segformer.encoder.block.0.1.attention.self.key.weight",
        "segformer.encoder.block.0.1.attention.self.value.bias",
        "segformer.encoder.block.2.0.attention.self.sr.weight",
        "segformer.encoder.block.2.0.attention.self.layer_norm.weight",
        "segformer.encoder.block.3.0.attention.output.dense.weight",
        "segformer.encoder.block.1.1.layer_norm_1.weight",
        "segformer.encoder.block.1.1.layer_norm_2.weight",
        "segformer.encoder.block.1.1.mlp.dense1.weight",
        "segformer.encoder.block.1.1.mlp.dwconv.dwconv.weight",
        "segformer.encoder.block.1.1.mlp.dense2.weight",
        "segformer.encoder.layer_norm.3.weight",
        "decode_head.linear_c.0.proj.weight",
        "decode_head.batch_norm.running_mean",
    }
    assert not any("stages" in name or "_proj" in name or "fc1" in name for name in names)


def test_mask2former_has_the_published_size() -> None:
    """Table 1 of the Mask2Former paper, with Swin-T and COCO's 133 classes: 47 million weights."""
    with torch.device("meta"):
        segmenter = Mask2Former(Mask2FormerConfig("swin-t"), 133)
    weights = sum(weight.numel() for weight in segmenter.parameters()) / 1e6
    assert weights == pytest.approx(47, rel=0.02)


def test_mask2former_weights_are_saved_under_their_published_names() -> None:
    segmenter = build_segmenter(Mask2FormerConfig("tiny"), 5)
    names = {segmenter.name_in_file(name).removeprefix("network.") for name in segmenter.state_dict()}
    assert len(names) == len(segmenter.state_dict())
    encoder, block = "model.pixel_level_module.encoder.", "encoder.layers.3.blocks.0."
    assert names >= {
        encoder + "embeddings.patch_embeddings.projection.weight",
        encoder + "encoder.layers.0.downsample.reduction.weight",
        encoder + "hidden_states_norms.stage4.bias",
        encoder + block + "attention.self.query.weight",
        encoder + block + "attention.self.key.bias",
        encoder + block + "attention.self.value.weight",
        encoder + block + "attention.self.relative_position_bias_table",
        encoder + block + "attention.output.dense.weight",
        encoder + block + "layernorm_after.weight",
        encoder + block + "intermediate.dense.weight",
        encoder + block + "output.dense.bias",
        "model.pixel_level_module.decoder.encoder.layers.0.self_attn.sampling_offsets.weight",
        "model.transformer_module.decoder.layers.2.self_attn.q_proj.weight",
        "model.transformer_module.queries_features.weight",
        "class_predictor.weight",
    }
    backbone = [name for name in names if name.startswith(encoder)]
    assert not any(part in name for name in backbone for part in ("swin", "_proj", "mlp", "_index"))
    assert not any("criterion" in name for name in names)


def test_mask2former_starts_with_queries_that_differ() -> None:
    """The library's version 4 draws them, and the levels' embeddings, next to 0."""
    torch.manual_seed(0)
    network = build_segmenter(Mask2FormerConfig("tiny"), 5).network
    transformer = network.model.transformer_module  # type: ignore[union-attr]
    parts = (transformer.queries_features, transformer.queries_embedder, transformer.level_embed)
    for weight in (*(part.weight for part in parts), network.model.pixel_level_module.decoder.level_embed):  # type: ignore[union-attr]
        assert 0.8 < weight.std() < 1.2
    attention = network.model.pixel_level_module.decoder.encoder.layers[0].self_attn  # type: ignore[union-attr]
    assert not attention.attention_weights.weight.any()
    assert attention.sampling_offsets.bias.any()


def test_mask2former_answers_with_the_semantic_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Σ_q p_q(c) m_q(pixel), over its sum; "no object" left out; interpolated before the sigmoid."""
    draw = torch.Generator().manual_seed(0)
    said = Answer(torch.randn(3, 7, 6, generator=draw), 4 * torch.randn(3, 7, 16, 16, generator=draw))
    segmenter = Mask2Former(Mask2FormerConfig("tiny"), 5)
    monkeypatch.setattr(segmenter, "answers", lambda images: [said])
    masks = nn.functional.interpolate(said.masks, size=(64, 64), mode="bilinear").sigmoid()
    shares = torch.einsum("bqc,bqhw->bchw", said.classes.softmax(-1)[..., :5], masks)
    expected = shares / shares.sum(dim=1, keepdim=True)
    torch.testing.assert_close(segmenter.predict(torch.zeros(3, 3, 64, 64)), expected)


def test_mask2former_decides_also_where_no_mask_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """All sigmoids are 0 in float32; the query that is least far from the pixel still decides."""
    classes, masks = torch.full((1, 2, 4), -9.0), torch.full((1, 2, 8, 8), -500.0)
    classes[0, 0, 1] = classes[0, 1, 2] = 0.0
    masks[0, 1, :, 4:] = -450.0
    masks[0, 0, :, :4] = -450.0
    segmenter = Mask2Former(Mask2FormerConfig("tiny"), 3)
    monkeypatch.setattr(segmenter, "answers", lambda images: [Answer(classes, masks)])
    found = segmenter.predict(torch.zeros(1, 3, 32, 32))
    torch.testing.assert_close(found.sum(dim=1), torch.ones(1, 32, 32))
    assert (found[0, 1, :, :14] > 0.99).all()
    assert (found[0, 2, :, 18:] > 0.99).all()


def test_mask2former_forgets_the_size_of_the_image_before() -> None:
    """The windows of the backbone do not shrink for good when a small image passes."""
    torch.manual_seed(0)
    segmenter = build_segmenter(Mask2FormerConfig("tiny"), 5)
    image = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    before = segmenter.predict(image)
    segmenter.predict(image[..., :7, :5])
    assert torch.equal(segmenter.predict(image), before)


def test_enlarging_gives_finer_cells() -> None:
    """One odd pixel moves the answer within its own cells; with enlargement fewer pixels share a cell."""
    for kind in (SegFormerConfig, Mask2FormerConfig):
        assert [cell(kind("tiny", enlarge=factor)) for factor in (1, 2, 4)] == [4, 2, 1]
    assert cell(UNetConfig()) == 1
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for factor in (1, 2):
        torch.manual_seed(0)
        segmenter = SegFormer(SegFormerConfig("tiny", enlarge=factor), 5)
        cells: list[int] = []
        segmenter.network.register_forward_hook(lambda _, __, answer: cells.append(answer.logits.shape[-1]))  # noqa: B023
        segmenter.predict(images)
        assert 64 / cells[0] == cell(segmenter.config)
        transformer = Mask2Former(Mask2FormerConfig("tiny", enlarge=factor), 5)
        assert 64 / transformer.answers(images)[-1].masks.shape[-1] == cell(transformer.config)


def test_unet_answers_for_single_pixels() -> None:
    """A class of one pixel can be learned: no cell swallows it."""
    torch.manual_seed(0)
    images, masks = -torch.ones(2, 3, 32, 32), torch.zeros(2, 32, 32, dtype=torch.long)
    for scene, (row, column) in enumerate([(7, 9), (20, 3)]):
        images[scene, :, row, column] = 1
        masks[scene, row, column] = 1
    segmenter = build_segmenter(UNetConfig(widths=(8, 16)), 2)
    optimizer = torch.optim.AdamW(segmenter.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        segmenter.loss(images, masks).backward()
        optimizer.step()
    assert torch.equal(segmenter.predict(images).argmax(dim=1), masks)


def test_unet_is_compact() -> None:
    weights = sum(weight.numel() for weight in UNet(UNetConfig(), 13).parameters())
    assert 0.4e6 < weights < 0.6e6


def test_unet_is_cheap() -> None:
    """A forward pass at 64² takes less than 0.6 GFLOP: two cores then train about 100 images a second."""
    segmenter = UNet(UNetConfig(), 13)
    with FlopCounterMode(display=False) as counter:
        segmenter.predict(torch.zeros(1, 3, 64, 64))
    assert counter.get_total_flops() < 0.6e9


@pytest.mark.parametrize(
    "make",
    [
        lambda: SegFormerConfig("b9"),  # type: ignore[arg-type]
        lambda: SegFormerConfig(enlarge=0),
        lambda: SegFormerConfig(dice=-1),
        lambda: SegFormerConfig(dropout=1.0),
        lambda: Mask2FormerConfig("swin-xxl"),  # type: ignore[arg-type]
        lambda: Mask2FormerConfig(enlarge=0),
        lambda: Mask2FormerConfig(mask_weight=-1),
        lambda: Mask2FormerConfig(no_object=0),
        lambda: Mask2FormerConfig(drop_path=1.0),
        lambda: UNetConfig(widths=()),
        lambda: UNetConfig(widths=(24, 50)),
        lambda: UNetConfig(dropout=-0.1),
    ],
)
def test_impossible_options_are_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError):
        make()
