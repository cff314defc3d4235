"""What is particular to one network."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rarescene.foundation.errors import ConfigError
from rarescene.segmenters import SegFormerConfig, UNetConfig, build_segmenter, output_cell
from rarescene.segmenters.segformer import SegFormer
from rarescene.segmenters.unet import UNet


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


def test_enlarging_gives_finer_cells() -> None:
    """One odd pixel moves the answer within its own cells; with enlargement fewer pixels share a cell."""
    assert [output_cell(SegFormerConfig("tiny", enlarge=factor)) for factor in (1, 2, 4)] == [4, 2, 1]
    assert output_cell(UNetConfig()) == 1
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for factor in (1, 2):
        torch.manual_seed(0)
        segmenter = SegFormer(SegFormerConfig("tiny", enlarge=factor), 5)
        cells: list[int] = []
        segmenter.network.register_forward_hook(lambda _, __, answer: cells.append(answer.logits.shape[-1]))  # noqa: B023
        segmenter.predict(images)
        assert 64 / cells[0] == output_cell(segmenter.config)


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
        lambda: UNetConfig(widths=()),
        lambda: UNetConfig(widths=(24, 50)),
        lambda: UNetConfig(dropout=-0.1),
    ],
)
def test_impossible_options_are_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError):
        make()
