"""The VQ-GANs from the command line: records, figures, a picture, masks without images, ranks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from rarescene.cli import main
from rarescene.foundation.run_record import read_record
from rarescene.generators import ImageVqGan, MaskVqGan
from rarescene.scenes import open_scenes
from rarescene.training import to_images

from ..conftest import PHANTOM, TINY_VQGAN, took

KINDS = pytest.mark.parametrize("place", [0, 1], ids=["image", "mask"])
NAMES = ("image_vqgan", "mask_vqgan")


@KINDS
def test_the_run_folder_tells_how_to_repeat_it(vqgan_runs: tuple[Path, Path], place: int) -> None:
    out = vqgan_runs[place]
    record = read_record(out, NAMES[place])
    assert record.finished is not None
    assert record.config["model"]["network"]["codes"] == 32
    assert set(record.provenance.seen.spans) == set(record.provenance.recordings["train"])
    assert {"perplexity", "codes_in_use", "discriminator"} <= set(record.metrics)
    card = (out / "README.md").read_text()
    assert f"**VQ-GAN of {('images', 'masks')[place]}.**" in card
    assert "perplexity of the codes" in card
    assert ("PSNR, dB" in card) == (place == 0)
    assert ("regions one or two pixels wide" in card) == (place == 1)


def test_images_are_judged_on_the_validation_recordings(vqgan_runs: tuple[Path, Path]) -> None:
    out = vqgan_runs[0]
    figures = json.loads((out / "reconstruction.json").read_text())
    assert (figures["part"], figures["scenes"]) == ("validation", 8)
    vqgan, scenes = ImageVqGan.load(out / "model"), open_scenes(PHANTOM)
    held = scenes.of_groups(read_record(out).provenance.recordings["validation"])
    images = to_images(np.stack([scene.image for scene in held]))
    found = vqgan.decode(vqgan.encode(images))
    levels = [((one + 1) * 127.5).round() / 255 for one in (images, found)]
    assert figures["l1"] == pytest.approx((levels[0] - levels[1]).abs().mean().item(), abs=1e-4)
    assert figures["distances"][0]["frechet_name"] == "FD-EffNetLite0"
    assert figures["psnr"]["mean"] > 0
    codes = vqgan.codes(vqgan.encode(images))
    assert figures["codes_in_use"] == pytest.approx(len(codes.unique()) / 32)


def test_masks_are_judged_class_by_class(vqgan_runs: tuple[Path, Path]) -> None:
    out = vqgan_runs[1]
    figures = json.loads((out / "reconstruction.json").read_text())
    vqgan, scenes = MaskVqGan.load(out / "model"), open_scenes(PHANTOM)
    held = scenes.of_groups(read_record(out).provenance.recordings["validation"])
    masks = np.stack([scene.mask for scene in held]).astype(np.int64)
    found = vqgan.decode(vqgan.encode(torch.from_numpy(masks))).argmax(1).numpy()
    labelled = masks != scenes.classes.ignore_index
    for class_id, entry in enumerate(figures["classes"]):
        here, there = (masks == class_id) & labelled, (found == class_id) & labelled
        assert entry["name"] == scenes.classes.names[class_id]
        assert entry["scenes"] == here.any((1, 2)).sum()
        if here.any():
            assert entry["iou"] == pytest.approx((here & there).sum() / (here | there).sum())


@KINDS
def test_the_picture_shows_originals_beside_reconstructions(
    vqgan_runs: tuple[Path, Path], place: int
) -> None:
    with Image.open(vqgan_runs[place] / "reconstruction.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape[1] == 8 + 4 * 200
    if place:  # the first original has no colour that its class table lacks
        colours = {tuple(colour) for colour in pixels[34:40, 8:200].reshape(-1, 3).tolist()}
        known = {tuple(map(int, colour)) for colour in open_scenes(PHANTOM).classes.palette()}
        assert colours <= known | {(0, 0, 0)}


@pytest.mark.parametrize("command", ["image-vqgan", "mask-vqgan"])
def test_a_run_is_resumed_and_no_other_is(command: str, tmp_path: Path) -> None:
    out, words = tmp_path / "run", ["--data", PHANTOM, *TINY_VQGAN]
    call = ["train", command, "--out", str(out), *words]
    assert main([*call, "--model.training.steps=2"]) == 0
    assert main(call) == 2  # holds a run already
    took(out, 1000.0)
    assert main([*call, "--resume"]) == 0
    assert 1000 <= (read_record(out).seconds or 0) < 1500  # of both processes
    assert [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()] == [2, 4]
    assert main([*call, "--resume", "--model.network.codes=64"]) == 2


def test_masks_need_no_images_and_no_validation(real_cadis: Path, tmp_path: Path) -> None:
    out, data = tmp_path / "run", f"cadis:{real_cadis},images=no"
    words = [word for word in TINY_VQGAN if not word.startswith("--fractions")]
    everything = ["--data", data, "--fractions=[0.7,0.0,0.3]"]
    assert main(["train", "mask-vqgan", "--out", str(out), *everything, *words]) == 0
    figures = json.loads((out / "reconstruction.json").read_text())
    assert figures["part"] == "train"
    assert main(["train", "image-vqgan", "--out", str(tmp_path / "other"), *everything, *words]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1], ids=["image", "mask"])
def test_two_ranks_follow_one(
    vqgan_runs: tuple[Path, Path],
    place: int,
    tmp_path: Path,
    on_two_ranks: Callable[[Sequence[str], Path], None],
) -> None:
    out, command = tmp_path / "ranks", ("image-vqgan", "mask-vqgan")[place]
    size = [] if place else ["--model.perceptual_size=32"]
    on_two_ranks(["train", command, "--data", PHANTOM, "--out", str(out), *TINY_VQGAN, *size], out)
    one, two = (load_file(run / "model" / "weights.safetensors") for run in (vqgan_runs[place], out))
    for name in one:
        torch.testing.assert_close(
            one[name], two[name], rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )
