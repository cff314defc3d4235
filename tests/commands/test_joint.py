"""`train joint` and `synthesize` of its runs: what fits, what leaks, and the same files whatever happens."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from rarescene.cli import main
from rarescene.foundation.files import read_json, write_json
from rarescene.foundation.run_record import read_record
from rarescene.generators import JointLatent, encode_scenes
from rarescene.scenes import Request, open_scenes, read_confidence
from rarescene.training import load_tensors, save_tensors

from ..conftest import BRIEF, PHANTOM, TINY_JOINT, TINY_VQGAN, took

Runs = tuple[Path, Path]


def training(runs: Runs, out: Path, data: str = PHANTOM) -> list[str]:
    images, masks = map(str, runs)
    words = ["train", "joint", "--data", data, "--images", images, "--masks", masks]
    return [*words, "--out", str(out), *TINY_JOINT]


def words(run: Path, out: Path, count: int = 10) -> list[str]:
    return [
        "synthesize", str(run), "--out", str(out), "--count", str(count), "--classes", "grasper,fat",
        "--sampling.steps=3", "--sampling.block=4",
    ]  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    """Everything that makes up a set; `run.json` and the card tell times and commands, and are left out."""
    told = ("run.json", "README.md")
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in told]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def refused(command: Sequence[str], capfd: pytest.CaptureFixture[str]) -> str:
    capfd.readouterr()
    assert main(list(command)) == 2
    return " ".join(capfd.readouterr().err.split())


@pytest.fixture(scope="module")
def undisturbed(joint_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sets") / "whole"
    assert main(words(joint_run, out)) == 0
    return out


def test_a_run_says_what_it_holds(joint_run: Path, vqgan_runs: Runs) -> None:
    record = read_record(joint_run, "joint_latent")
    assert set(record.provenance.seen.spans) == set(record.provenance.recordings["train"])
    assert {"loss", "image", "mask"} <= set(record.metrics)
    card = (joint_run / "README.md").read_text()
    assert "**Joint latent diffusion pair generator.**" in card
    assert "Phantom" in card
    pool = read_json(joint_run / "requests.json")["requests"]
    assert sum(line["count"] for line in pool) == 24  # every training mask
    generator = JointLatent.load(joint_run / "model")
    assert generator.config.height == 32
    scales = load_tensors(joint_run / "model" / "latents.safetensors")
    assert set(scales) == {"mean", "std", "lowest", "highest"}
    for folder, run in zip(("image_vqgan", "mask_vqgan"), vqgan_runs, strict=True):
        one, other = (
            load_tensors(place / "weights.safetensors")
            for place in (joint_run / "model" / folder, run / "model")
        )
        assert all((one[name] == value).all() for name, value in other.items())


def test_the_run_needs_no_other_folder(joint_run: Path, tmp_path: Path, undisturbed: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(joint_run, alone)
    assert main(words(alone, tmp_path / "pairs")) == 0
    assert files(tmp_path / "pairs") == files(undisturbed)


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "latents.safetensors", "generator.json", "mask_vqgan/generator.json"]
)
def test_damaged_files_are_named(
    name: str, joint_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "run"
    shutil.copytree(joint_run, broken)
    whole = (broken / "model" / name).read_bytes()
    (broken / "model" / name).write_bytes(whole[: len(whole) // 2])
    assert Path(name).name in refused(words(broken, tmp_path / "pairs"), capfd)
    assert not (tmp_path / "pairs" / "run.json").exists()


def test_what_else_a_description_may_get_wrong(
    joint_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "run"
    shutil.copytree(joint_run, broken)
    path = broken / "model" / "generator.json"
    described = read_json(path)
    for changes, what in (
        ({"generator": "casdm"}, "holds a 'casdm' generator"),
        ({"config": {"unknown": 1}}, "not the description of a 'joint_latent' generator"),
    ):
        write_json(path, described | changes)
        assert what in refused(words(broken, tmp_path / "pairs"), capfd)
    classes = json.loads(json.dumps(described["classes"]))
    classes["classes"][3]["name"] = "something else"
    write_json(path, described | {"classes": classes})
    assert "other classes than its VQ-GANs" in refused(words(broken, tmp_path / "pairs"), capfd)


def test_a_resumed_training_ends_with_the_same_weights(
    vqgan_runs: Runs, joint_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cut"
    assert main([*training(vqgan_runs, out), "--model.training.steps=2"]) == 0
    assert "--resume" in refused(training(vqgan_runs, out), capfd)
    took(out, 1000.0)
    assert main([*training(vqgan_runs, out), "--resume"]) == 0
    assert 1000 <= (read_record(out).seconds or 0) < 1500  # of both processes
    one, other = (load_tensors(run / "model" / "weights.safetensors") for run in (joint_run, out))
    assert all((one[name] == value).all() for name, value in other.items())
    told = refused([*training(vqgan_runs, out), "--resume", "--model.condition_dropout=0.5"], capfd)
    assert "begun with another model" in told


def test_latents_are_encoded_once_for_all_who_need_the_same(
    vqgan_runs: Runs,
    joint_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    encoded: list[bool] = []

    def counted(*given: Any, mirrored: bool, **more: Any) -> Tensor:
        encoded.append(mirrored)
        return encode_scenes(*given, mirrored=mirrored, **more)

    monkeypatch.setattr("rarescene.generators.encode_scenes", counted)
    monkeypatch.setenv("RARESCENE_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "run"
    assert main([*training(vqgan_runs, out), "--model.training.steps=2"]) == 0
    assert encoded == [True]
    assert main([*training(vqgan_runs, out), "--resume"]) == 0
    assert encoded == [True]
    one, other = (load_tensors(run / "model" / "latents.safetensors") for run in (joint_run, out))
    assert all((one[name] == value).all() for name, value in other.items())
    # Whatever they are made of tells them apart.
    assert main([*training(vqgan_runs, tmp_path / "plain"), "--model.horizontal_flip=0"]) == 0
    assert encoded == [True, False]
    weights = vqgan_runs[1] / "model" / "weights.safetensors"
    masks = tmp_path / "masks"
    shutil.copytree(vqgan_runs[1], masks)
    changed = {name: value * 1.01 for name, value in load_tensors(weights).items()}
    save_tensors(changed, masks / "model" / "weights.safetensors")
    assert main(training((vqgan_runs[0], masks), tmp_path / "other")) == 0
    assert encoded == [True, False, True]
    kept = sorted((tmp_path / "cache").glob("latents-*.safetensors"))
    assert len(kept) == 3
    for path in kept:
        path.write_bytes(path.read_bytes()[:100])
    told = refused(training(vqgan_runs, tmp_path / "damaged"), capfd)
    assert "the cached latents cannot be read" in told
    assert "Delete this file" in told


@pytest.mark.slow
def test_two_ranks_train_as_one(
    vqgan_runs: Runs, joint_run: Path, tmp_path: Path, on_two_ranks: Callable[[Sequence[str], Path], None]
) -> None:
    out = tmp_path / "ranks"
    on_two_ranks(training(vqgan_runs, out), out)
    one, other = (load_tensors(run / "model" / "weights.safetensors") for run in (joint_run, out))
    for name, value in other.items():
        assert (one[name] - value).abs().max() < 2e-3, name


def test_vq_gans_that_saw_what_is_held_out_are_refused(
    vqgan_runs: Runs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told = refused([*training(vqgan_runs, tmp_path / "run"), "--split_seed=3"], capfd)
    assert "the image_vqgan saw recordings that are held out here" in told
    other = tmp_path / "masks"
    assert (
        main(["train", "mask-vqgan", "--data", PHANTOM, "--out", str(other), *TINY_VQGAN, "--split_seed=3"])
        == 0
    )
    told = refused(training((vqgan_runs[0], other), tmp_path / "run"), capfd)
    assert "the mask_vqgan saw recordings that are held out here" in told
    assert not (tmp_path / "run" / "run.json").exists()


def test_vq_gans_that_do_not_fit(
    vqgan_runs: Runs, maps_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, (images, masks) = tmp_path / "run", vqgan_runs
    turned = refused(training((masks, images), out), capfd)
    assert "of kind 'mask_vqgan', and one of kind 'image_vqgan' is needed" in turned
    no_masks = refused(training((images, maps_run), out), capfd)
    assert "of kind 'maps', and one of kind 'mask_vqgan' is needed" in no_masks
    larger = refused([*training(vqgan_runs, out), "--model.height=48"], capfd)
    assert "was trained on 32×32, and the generator is to make 32×48" in larger
    unfinished = tmp_path / "unfinished"
    shutil.copytree(masks, unfinished)
    write_json(unfinished / "run.json", read_json(masks / "run.json") | {"finished": None})
    assert "not trained to its end" in refused(training((images, unfinished), out), capfd)
    shutil.rmtree(unfinished)
    shutil.copytree(masks, unfinished)
    shutil.rmtree(unfinished / "model")
    assert "generator.json" in refused(training((images, unfinished), out), capfd)
    robot = "phantom:videos=6,frames=8,size=32,operation=gastrectomy"
    told = refused(training(vqgan_runs, out, robot), capfd)
    assert "class" in told or "held out" in told


def test_pairs_are_asked_for_and_say_what_they_keep(undisturbed: Path, joint_run: Path) -> None:
    pairs = open_scenes(f"set:{undisturbed}")
    assert len(pairs) == 10
    wanted = set(pairs.classes.ids_of(["grasper", "fat"]))
    for index, record in enumerate(pairs.records):
        request = Request.from_dict(record.details["request"])
        assert wanted & set(request.ids)
        assert all(entry.count is entry.place is None for entry in request.classes)  # labels hear no words
        assert record.details["kept"] == request.kept_by(pairs.mask(index), pairs.classes).to_dict()
        assert record.details["generator"] == "joint_latent"
        sure = read_confidence(record)
        assert sure is not None
        assert 0 < sure.min() <= sure.max() <= 1
    made = read_record(undisturbed, "scene set")
    assert made.provenance.seen == read_record(joint_run).provenance.seen
    assert made.config["sampling"]["steps"] == 3
    assert "the same sample" in (undisturbed / "README.md").read_text()


def test_twenty_steps_and_the_own_guidance_unless_told_otherwise(joint_run: Path, tmp_path: Path) -> None:
    plain, own, none = tmp_path / "plain", tmp_path / "own", tmp_path / "none"
    count = ["--count", "2", "--sampling.block=2"]
    assert main(["synthesize", str(joint_run), "--out", str(plain), *count]) == 0
    told = ["--sampling.steps=20", "--sampling.guidance=2.0"]
    assert main(["synthesize", str(joint_run), "--out", str(own), *count, *told]) == 0
    assert main(["synthesize", str(joint_run), "--out", str(none), *count, "--sampling.guidance=1"]) == 0
    images = [(out / "images" / "000000.png").read_bytes() for out in (plain, own, none)]
    assert images[0] == images[1] != images[2]


def test_requests_of_a_file_and_of_a_data_set(joint_run: Path, tmp_path: Path) -> None:
    listed = tmp_path / "requests.txt"
    listed.write_text("liver; grasper\nfat  # and nothing else\n")
    base = ["synthesize", str(joint_run), "--count", "3", "--sampling.steps=1", "--sampling.block=4"]
    assert main([*base, "--out", str(tmp_path / "file"), "--requests", str(listed)]) == 0
    pairs = open_scenes(f"set:{tmp_path / 'file'}")
    texts = [Request.from_dict(record.details["request"]).to_text(pairs.classes) for record in pairs.records]
    assert texts == ["liver; grasper", "fat", "liver; grasper"]
    assert main([*base, "--out", str(tmp_path / "data"), "--requests", PHANTOM, "--part", "test"]) == 0
    record = read_record(joint_run)
    held_out = set(record.provenance.recordings["test"])
    assert held_out <= set(
        read_record(tmp_path / "data").provenance.seen.spans
    )  # asked with its masks: it is seen


def test_a_longer_set_begins_with_the_shorter_one(undisturbed: Path, joint_run: Path, tmp_path: Path) -> None:
    assert main(words(joint_run, tmp_path / "long", count=13)) == 0
    shorter, longer = files(undisturbed), files(tmp_path / "long")
    assert all(longer[name] == content for name, content in shorter.items() if name.endswith(".png"))


def test_killed_and_resumed_equals_undisturbed(
    undisturbed: Path,
    joint_run: Path,
    tmp_path: Path,
    killed_when: Callable[[Sequence[str], Callable[[], bool]], None],
) -> None:
    out = tmp_path / "cut"
    command = [*words(joint_run, out), "--resume"]
    killed_when(command, lambda: len(list(out.glob("images/*.png"))) >= 3)
    assert main(command) == 0
    assert files(out) == files(undisturbed)


@pytest.mark.slow
def test_two_ranks_make_the_files_of_one(
    undisturbed: Path, joint_run: Path, tmp_path: Path, on_two_ranks: Callable[[Sequence[str], Path], None]
) -> None:
    out = tmp_path / "ranks"
    on_two_ranks(words(joint_run, out), out)
    assert files(out) == files(undisturbed)


def test_options_that_speak_of_masks_are_refused(
    joint_run: Path, maps_run: Path, segmenter_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = words(joint_run, tmp_path / "pairs")
    assert "generates its own masks" in refused([*command, "--masks", PHANTOM], capfd)
    assert "generates its own masks" in refused([*command, "--maps", str(maps_run)], capfd)
    for option in (["--vary"], ["--split", "time"], ["--group_by", "(x)"]):
        assert "of --masks" in refused([*command, *option], capfd)
    assert "sampling.guidance is -1" in refused([*command, "--sampling.guidance=-1"], capfd)
    assert "sampling.steps is 5000" in refused([*command, "--sampling.steps=5000"], capfd)
    told = refused(words(segmenter_run, tmp_path / "pairs"), capfd)
    assert "a generator of images or pairs is needed" in told
    assert not (tmp_path / "pairs").exists()


def test_pairs_join_a_training(undisturbed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    offline = ["--strategy", "offline", "--synthetic", str(undisturbed)]
    command = ["segment", "unet", "--data", PHANTOM, *BRIEF, *offline, "--out"]
    assert main([*command, str(tmp_path / "with")]) == 0
    assert "held out" in refused([*command, str(tmp_path / "leak"), "--split_seed=3"], capfd)


def test_prompts_from_end_to_end(vqgan_runs: Runs, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run, out = tmp_path / "run", tmp_path / "pairs"
    assert main([*training(vqgan_runs, run), "--model.condition=text"]) == 0
    listed = tmp_path / "requests.txt"
    listed.write_text("grasper: two, upper left\n")
    sampling = ["--sampling.steps=2", "--sampling.block=2", "--count", "2"]
    assert main(["synthesize", str(run), "--out", str(out), "--requests", str(listed), *sampling]) == 0
    request = Request.from_dict(open_scenes(f"set:{out}").records[0].details["request"])
    assert (request.classes[0].count, request.classes[0].place) == (2, "upper left")
    described = read_json(run / "model" / "prompts.json")
    write_json(run / "model" / "prompts.json", described | {"fingerprint": "another"})
    assert "another text encoder" in refused(words(run, tmp_path / "again"), capfd)


def test_masks_and_confidence_are_of_one_draw(undisturbed: Path) -> None:
    pairs = open_scenes(f"set:{undisturbed}")
    assert len({pairs.mask(index).tobytes() for index in range(len(pairs))}) == len(pairs)
    assert len({np.asarray(pairs[index].image).tobytes() for index in range(len(pairs))}) == len(pairs)
