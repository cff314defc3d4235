"""SegFormer and Mask2Former from published weights. The folders are made here, tiny, by transformers itself.

What was taken is read from the donor's own file, by its published names, not through the code under test.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from rarescene.foundation.errors import CheckpointError, ConfigError, RareSceneError
from rarescene.segmenters import (
    Mask2FormerConfig,
    SegFormerConfig,
    SegmentationNetwork,
    build_segmenter,
    load_segmenter,
    save_segmenter,
)
from rarescene.segmenters.mask2former import Mask2Former
from rarescene.segmenters.mask2former_config import MASK2FORMER_SIZES
from rarescene.segmenters.segformer_config import SEGFORMER_SIZES
from rarescene.testing.toys import TABLE, toy_batch

CLASSES = len(TABLE)
OPTIONS: dict[str, SegFormerConfig | Mask2FormerConfig] = {
    "segformer": SegFormerConfig("tiny"),
    "mask2former": Mask2FormerConfig("tiny"),
}
ENCODER = "model.pixel_level_module.encoder."


def segformer(kind: type[Any], **changes: Any) -> Any:
    size = SEGFORMER_SIZES["tiny"]
    options = {
        "depths": list(size.depths), "hidden_sizes": list(size.widths),
        "num_attention_heads": list(size.heads), "decoder_hidden_size": size.decoder, "num_labels": 7,
    }  # fmt: skip
    return kind(transformers.SegformerConfig(**options | changes))


def swin(**changes: Any) -> transformers.SwinConfig:
    size = MASK2FORMER_SIZES["tiny"]
    options = {
        "depths": list(size.depths), "embed_dim": size.width, "num_heads": list(size.heads),
        "window_size": size.window,
    }  # fmt: skip
    return transformers.SwinConfig(**options | changes)


def donor(name: str) -> Any:
    """A published network: of the task that it was trained for, and with seven classes."""
    torch.manual_seed(5)
    match name:
        case "segformer of images":
            return segformer(transformers.SegformerForImageClassification)
        case "segformer":
            return segformer(transformers.SegformerForSemanticSegmentation)
        case "segformer with another decoder":
            return segformer(transformers.SegformerForSemanticSegmentation, decoder_hidden_size=64)
        case "swin of images":
            return transformers.SwinForImageClassification(swin(num_labels=7))
        case "mask2former":
            network = Mask2Former(Mask2FormerConfig("tiny"), 7).network.config
            return transformers.Mask2FormerForUniversalSegmentation(network)
    raise ValueError(name)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a donor, none of whose weights is at a value that networks start from."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            network = donor(name)
            for weight in network.state_dict().values():
                if weight.is_floating_point():
                    weight += 0.01
            made[name] = tmp_path_factory.mktemp("published") / name
            network.save_pretrained(made[name])
        return made[name]

    return folder


def options(name: str, folder: Path | str) -> Any:
    return replace(
        OPTIONS["segformer" if name.startswith("segformer") else "mask2former"], pretrained=str(folder)
    )


def build(config: Any) -> SegmentationNetwork:
    torch.manual_seed(0)
    return build_segmenter(config, CLASSES)


def in_file(segmenter: SegmentationNetwork) -> dict[str, Tensor]:
    """The weights by the names of the published files."""
    state = segmenter.state_dict().items()
    return {segmenter.name_in_file(name).removeprefix("network."): weight for name, weight in state}


def read(folder: Path) -> dict[str, Tensor]:
    weights = load_file(folder / "model.safetensors")
    if any(name.startswith("swin.") for name in weights):
        return {ENCODER + name.removeprefix("swin."): weight for name, weight in weights.items()}
    return weights


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("segformer of images", ("decode_head.",)),
        ("segformer", ("decode_head.classifier.",)),
        ("segformer with another decoder", ("decode_head.",)),
        ("swin of images", (f"{ENCODER}hidden_states_norms.", "model.pixel_level_module.decoder.",
                            "model.transformer_module.", "class_predictor.")),
        ("mask2former", ("class_predictor.",)),
    ],
)  # fmt: skip
def test_what_fits_is_taken_and_the_rest_is_as_from_scratch(
    name: str, new: tuple[str, ...], published: Callable[[str], Path]
) -> None:
    folder = published(name)
    theirs, scratch = read(folder), in_file(build(replace(options(name, folder), pretrained=None)))
    found = in_file(build(options(name, folder)))
    taken = {weight for weight in found if not weight.startswith(new)}
    assert taken
    assert len(taken) > len(scratch) / 3
    for weight, value in found.items():
        assert torch.equal(value, theirs[weight] if weight in taken else scratch[weight]), weight


@pytest.mark.parametrize("name", ["segformer of images", "mask2former"])
def test_the_saved_segmenter_needs_its_donor_no_more(
    name: str, published: Callable[[str], Path], tmp_path: Path
) -> None:
    images, _ = toy_batch(3, 40, 50)
    folder = shutil.copytree(published(name), tmp_path / "donor")
    segmenter = build(options(name, folder))
    save_segmenter(segmenter, tmp_path / "run", TABLE)
    shutil.rmtree(folder)
    loaded, _ = load_segmenter(tmp_path / "run")
    assert loaded.config.pretrained == str(folder)
    assert torch.equal(loaded.predict(images), segmenter.predict(images))


@pytest.mark.parametrize("name", ["segformer of images", "mask2former"])
def test_the_backbone_is_what_was_published_alone(name: str, published: Callable[[str], Path]) -> None:
    config = options(name, published(name))
    assert build(replace(config, pretrained=None)).backbone is None
    segmenter = build(config)
    assert segmenter.backbone is not None
    slow = {id(weight) for weight in segmenter.backbone.parameters()}
    prefix = "network.segformer." if name.startswith("segformer") else f"network.{ENCODER}"
    for weight, value in segmenter.named_parameters():
        assert (id(value) in slow) == weight.startswith(prefix)


def refused(config: Any, kind: type[RareSceneError], match: str) -> RareSceneError:
    with pytest.raises(kind, match=match) as caught:
        build(config)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("config", OPTIONS.values(), ids=OPTIONS)
def test_a_place_without_a_network_is_named_with_what_to_do(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for place in ("/no/such/folder", "./folder", "one/two/three"):
        refused(
            replace(config, pretrained=place), CheckpointError, "is neither a folder nor a name on the hub"
        )
    refused(replace(config, pretrained=""), CheckpointError, "cannot be opened as a network")
    error = refused(
        replace(config, pretrained="somebody/network"), CheckpointError, "is no folder here, and cannot be"
    )
    assert "hf download NAME --local-dir FOLDER" in error.remedy
    assert error.path == Path("somebody/network")
    (tmp_path / "file").write_text("no folder")
    refused(replace(config, pretrained=str(tmp_path / "file")), CheckpointError, "is neither a folder")
    refused(replace(config, pretrained=str(tmp_path)), CheckpointError, "cannot be opened as a network")
    (tmp_path / "config.json").write_text("{")
    refused(replace(config, pretrained=str(tmp_path)), CheckpointError, "cannot be opened as a network")


@pytest.mark.parametrize("name", ["segformer", "mask2former"])
def test_damaged_weights_are_refused(name: str, published: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(published(name), tmp_path / "donor")
    weights = load_file(folder / "model.safetensors")
    lost = next(
        one for one in weights if one.endswith("mlp.dense1.weight" if name == "segformer" else "query.weight")
    )
    save_file(
        {one: value for one, value in weights.items() if one != lost},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    refused(options(name, folder), CheckpointError, "lacks 1 weights of the backbone")
    whole = (published(name) / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    refused(options(name, folder), CheckpointError, "cannot be opened as a network")


def test_another_network_is_refused(published: Callable[[str], Path]) -> None:
    error = refused(
        SegFormerConfig("tiny", pretrained=str(published("swin of images"))), ConfigError, "is a 'swin'"
    )
    assert "segformer" in error.remedy
    refused(
        Mask2FormerConfig("tiny", pretrained=str(published("segformer"))), ConfigError, "is a 'segformer'"
    )


def test_another_size_is_refused_even_where_all_shapes_fit(
    published: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = published("segformer")
    refused(
        SegFormerConfig("b0", pretrained=str(folder)),
        ConfigError,
        r"depths \[1, 1, 1, 1\] where this one has \[2, 2",
    )
    segformer(transformers.SegformerModel, num_attention_heads=[1, 1, 1, 1]).save_pretrained(
        tmp_path / "heads"
    )
    heads = refused(
        SegFormerConfig("tiny", pretrained=str(tmp_path / "heads")), ConfigError, "num_attention_heads"
    )
    assert "--model.size" in heads.remedy
    transformers.SwinModel(swin(window_size=2)).save_pretrained(tmp_path / "windows")
    refused(
        Mask2FormerConfig("tiny", pretrained=str(tmp_path / "windows")),
        ConfigError,
        "window_size 2 where this one has 4",
    )


def test_the_library_is_as_loud_as_before(
    published: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    folder = published("segformer of images")
    capfd.readouterr()
    build(options("segformer", folder))
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    said = "".join(capfd.readouterr())
    assert "LOAD REPORT" not in said
    assert "Loading weights" not in said
