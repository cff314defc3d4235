"""What does not fit, and a full disk: a message, exit code 2, no half-written file."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from rarescene.cli import main
from rarescene.foundation.run_record import read_record

from ..conftest import BRIEF, PHANTOM
from .conftest import FRAME, IDS, refused, save, truncate, write

pytestmark = pytest.mark.usefixtures("desk")

# Options, configurations and runs that do not fit. Each returns the command, and words of its message.

Case = tuple[list[str], list[str]]


def segment(*words: str, data: str = "folder:mine", out: str = "run") -> list[str]:
    return ["segment", "unet", "--data", data, "--out", out, *BRIEF, *words]


def a_single_recording(runs: dict[str, str]) -> Case:
    for path in [*Path("mine").rglob("case2*"), *Path("mine").rglob("case3*")]:
        path.unlink()
    return segment("--split", "recording"), ["a single recording", "--split time"]


def broken_pattern(runs: dict[str, str]) -> Case:
    return segment("--group-by", "(case"), ["regular expression", "--group-by"]


def pattern_without_a_match(runs: dict[str, str]) -> Case:
    return segment("--group-by", r"patient(\d+)"), ["case1_frame1", "Widen the pattern"]


def impossible_fractions(runs: dict[str, str]) -> Case:
    return segment("--split", "time", "--fractions=[0.9,0.5,0.2]"), ["no split", "add up to 1"]


def two_fractions(runs: dict[str, str]) -> Case:
    return segment("--fractions=[0.5,0.5]"), ["fractions", "--help"]


def split_of_other_recordings(runs: dict[str, str]) -> Case:
    write("split.yaml", "train: [case1]\ntest: [case7]\n")
    return segment("--split", "split.yaml"), ["split.yaml", "case7", "case2"]


def no_such_split(runs: dict[str, str]) -> Case:
    return segment("--split", "by-moon"), ["by-moon", "recording"]


def no_such_data(runs: dict[str, str]) -> Case:
    return segment(data="mine"), ["'mine'", "NAME:PATH"]


def no_such_strategy(runs: dict[str, str]) -> Case:
    return segment("--strategy", "magic"), ["no strategy 'magic'", "duplicate"]


def offline_without_a_set(runs: dict[str, str]) -> Case:
    return segment("--strategy", "offline"), ["needs a synthetic set", "--synthetic SET"]


def a_set_for_none(runs: dict[str, str]) -> Case:
    return segment("--synthetic", runs["pairs"]), ["takes no synthetic set", "--strategy offline"]


def rare_class_that_is_none(runs: dict[str, str]) -> Case:
    return segment("--strategy", "duplicate", "--duplicate.classes", "livver"), [
        "'livver'",
        "Did you mean 'liver'",
    ]


def batch_that_cannot_be_dealt(runs: dict[str, str]) -> Case:
    return segment("--training.accumulate=3"), ["multiple of 3"]


def no_steps(runs: dict[str, str]) -> Case:
    return segment("--training.steps=0"), ["training.steps is 0", "a number from 1"]


def steps_that_are_no_number(runs: dict[str, str]) -> Case:
    return segment("--training.steps=many"), ["training.steps", "many", "--help"]


def unknown_option(runs: dict[str, str]) -> Case:
    return segment("--lerning-rate", "1"), ["lerning_rate", "--help"]


def no_such_config(runs: dict[str, str]) -> Case:
    return segment("--config", "tinny"), ["tinny", "tiny"]


def broken_config(runs: dict[str, str]) -> Case:
    write("broken.yaml", "seed: [1\n")
    return segment("--config", "broken.yaml"), ["broken.yaml", "not valid YAML", "Correct"]


def config_that_is_a_list(runs: dict[str, str]) -> Case:
    write("list.yaml", "- seed\n")
    return segment("--config=list.yaml"), ["list.yaml", "option: value"]


def unknown_field_of_a_config(runs: dict[str, str]) -> Case:
    write("mine.yaml", "training:\n  stepz: 3\n")
    return segment("--config", "mine.yaml"), ["mine.yaml", "stepz", "--help"]


def wrong_value_of_a_config(runs: dict[str, str]) -> Case:
    write("mine.yaml", "model:\n  dice: much\n")
    return segment("--config", "mine.yaml"), ["mine.yaml", "model.dice", "much"]


def unknown_field_of_a_base(runs: dict[str, str]) -> Case:
    write("theirs.yaml", "training:\n  stepz: 3\n")
    write("mine.yaml", "base: theirs.yaml\ntraining:\n  steps: 3\n")
    return segment("--config", "mine.yaml"), ["error theirs.yaml", "stepz", "--help"]


def no_such_base(runs: dict[str, str]) -> Case:
    write("mine.yaml", "base: tinny\nseed: 1\n")
    return segment("--config", "mine.yaml"), ["error mine.yaml", "'tinny'", "or a shipped one", "tiny"]


def base_that_is_a_list(runs: dict[str, str]) -> Case:
    write("list.yaml", "- seed\n")
    write("mine.yaml", "base: list.yaml\n")
    return segment("--config", "mine.yaml"), ["error list.yaml", "option: value"]


def bases_in_a_circle(runs: dict[str, str]) -> Case:
    write("theirs.yaml", "base: mine.yaml\n")
    write("mine.yaml", "base: theirs.yaml\n")
    return segment("--config=mine.yaml"), ["error theirs.yaml", "circle", "mine.yaml", "Take one `base:` out"]


def without_what_the_base_does_not_say(runs: dict[str, str]) -> Case:
    write("mine.yaml", "base: phiseg-tiny\nwithout: [model.levels]\n")
    return segment("--config", "mine.yaml"), ["error mine.yaml", "'model.levels'", "out of the list"]


def out_that_is_not_empty(runs: dict[str, str]) -> Case:
    Path("run").mkdir()
    write("run/notes.txt", "keep me")
    return segment("--resume"), [
        "run",
        "not empty",
        "no training was begun",
        "notes.txt",
        "Choose another --out",
    ]


def data_of_somebody_to_resume_in(command: Callable[[dict[str, str]], list[str]]) -> Callable[..., Case]:
    """Frames and masks named like those of a set, with its class table: all of it is somebody else's."""

    def case(runs: dict[str, str]) -> Case:
        for kind, pixels in (("images", FRAME), ("masks", IDS)):
            save(f"theirs/{kind}/000003.png", pixels)
        shutil.copy("pairs/classes.json", "theirs/classes.json")
        return [*command(runs), "--out", "theirs"], ["theirs", "is not empty", "Choose another --out"]

    case.__name__ = f"{command.__name__}_in_data_of_somebody"
    return case


def synthesis_to_resume(runs: dict[str, str]) -> list[str]:
    return ["synthesize", runs["casdm"], "--masks", PHANTOM, "--count", "4", "--resume"]


def curation_to_resume(runs: dict[str, str]) -> list[str]:
    return ["curate", runs["pairs"], "--segmenter", runs["none"], "--resume"]


def phantom_over_data_of_somebody(runs: dict[str, str]) -> Case:
    return ["phantom", "mine", "--videos", "1", "--frames", "1", "--size", "32"], ["mine", "is not empty"]


def predictions_over_the_masks(runs: dict[str, str]) -> Case:
    return ["predict", runs["none"], "mine/images", "--out", "mine"], ["mine", "is not empty"]


def predictions_among_the_images(runs: dict[str, str]) -> Case:
    words = ["predict", runs["none"], "mine", "--out", "mine/predicted"]
    return words, ["mine/predicted", "lies among the images", "Choose an --out"]


def predictions_of_another_run(runs: dict[str, str]) -> Case:
    assert main(["predict", runs["none"], "mine/images", "--out", "found", "--opacity", "0.2"]) == 0
    words = ["predict", runs["none"], "mine/images", "--out", "found", "--opacity", "0.4"]
    return words, ["found/run.json", "begun with another opacity"]


def scores_over_a_class_table(runs: dict[str, str]) -> Case:
    words = ["evaluate", runs["none"], "--data", PHANTOM, "--out", "mine/classes.json"]
    return words, ["mine/classes.json", "is a file of somebody else"]


def tables_over_somebody_elses(runs: dict[str, str]) -> Case:
    Path("out/smoke").mkdir(parents=True)
    write("out/smoke/gauda-fig3.md", "mine")
    words = ["reproduce", "gauda-fig3", "--scale", "smoke", "--out", "out"]
    return words, ["out/smoke/gauda-fig3.md", "is a file of somebody else"]


def report_to_a_device(runs: dict[str, str]) -> Case:
    return ["report", runs["none"], "--out", os.devnull], [os.devnull, "is no ordinary file"]


def run_in_a_device(runs: dict[str, str]) -> Case:
    return segment(out=os.devnull), [os.devnull, "is no folder"]


def out_that_is_a_file(runs: dict[str, str]) -> Case:
    write("run", "keep me")
    return segment(), ["run", "Choose a folder"]


def resume_in_a_run_of_another_kind(runs: dict[str, str]) -> Case:
    return segment("--resume", data=PHANTOM, out=runs["casdm"]), ["of kind 'casdm'", "Give the folder"]


def resume_with_another_seed(runs: dict[str, str]) -> Case:
    words = segment("--resume", "--seed", "7", data=PHANTOM, out=runs["none"])
    return words, ["run.json", "another seed", "Repeat the options"]


def resume_to_fewer_steps(runs: dict[str, str]) -> Case:
    words = segment("--resume", "--training.steps=2", data=PHANTOM, out=runs["none"])
    return words, ["step 4", "training.steps to 4"]


def resume_a_set_in_a_segmenter(runs: dict[str, str]) -> Case:
    words = ["synthesize", runs["casdm"], "--masks", PHANTOM, "--out", runs["none"], "--resume"]
    return words, ["of kind 'segmenter'", "Give the folder"]


def resume_a_set_made_otherwise(runs: dict[str, str]) -> Case:
    words = ["synthesize", runs["casdm"], "--masks", PHANTOM, "--out", runs["pairs"], "--count", "9"]
    return [*words, "--sampling.steps=1", "--resume"], ["set.json", "made otherwise", "Choose another folder"]


def generator_of_other_classes(runs: dict[str, str]) -> Case:
    words = ["synthesize", runs["casdm"], "--masks", "folder:mine", "--out", "set"]
    return words, ["casdm", "'cholecseg8k'", "'mine'", "same class table"]


def segmenter_of_other_classes(runs: dict[str, str]) -> Case:
    return ["evaluate", runs["none"], "--data", "folder:mine"], ["config.json", "trained on the classes"]


def set_of_other_classes(runs: dict[str, str]) -> Case:
    return segment("--strategy", "offline", "--synthetic", runs["pairs"]), ["pairs", "same class table"]


def damaged_generator(runs: dict[str, str]) -> Case:
    truncate(f"{runs['casdm']}/model/weights.safetensors")
    words = ["synthesize", runs["casdm"], "--masks", PHANTOM, "--out", "set"]
    return words, ["weights.safetensors", "damaged", "Restore"]


def damaged_segmenter(runs: dict[str, str]) -> Case:
    truncate(f"{runs['none']}/model/weights.safetensors")
    return ["evaluate", runs["none"], "--data", PHANTOM], ["weights.safetensors", "damaged", "Restore"]


def damaged_description(runs: dict[str, str]) -> Case:
    write(f"{runs['casdm']}/model/generator.json", '{"generator": "casdm", "config": {"height": "tall"}}')
    words = ["synthesize", runs["casdm"], "--masks", PHANTOM, "--out", "set"]
    return words, ["generator.json", "not the description", "Restore"]


def damaged_record(runs: dict[str, str]) -> Case:
    truncate(f"{runs['none']}/run.json")
    return ["evaluate", runs["none"], "--data", PHANTOM], ["run.json", "not valid JSON", "again"]


def record_without_its_fields(runs: dict[str, str]) -> Case:
    write(f"{runs['none']}/run.json", '{"kind": "segmenter"}')
    return ["evaluate", runs["none"], "--data", PHANTOM], ["run.json", "not a run record", "again"]


def damaged_checkpoint(runs: dict[str, str]) -> Case:
    write(f"{runs['none']}/checkpoints/step_00000004/state.json", "[4]")
    words = segment("--resume", "--training.steps=6", data=PHANTOM, out=runs["none"])
    return words, ["state.json", "earlier checkpoint"]


def damaged_manifest(runs: dict[str, str]) -> Case:
    truncate(f"{runs['pairs']}/manifest.jsonl")
    words = segment("--strategy", "offline", "--synthetic", runs["pairs"], data=PHANTOM)
    return words, ["manifest.jsonl", "line 4 is damaged", "--resume"]


def image_missing_from_a_set(runs: dict[str, str]) -> Case:
    Path(runs["pairs"], "images/000002.png").unlink()
    words = segment("--strategy", "offline", "--synthetic", runs["pairs"], data=PHANTOM)
    return words, ["000002.png", "missing", "Restore"]


def unfinished_set(runs: dict[str, str]) -> Case:
    record = json.loads(Path(runs["pairs"], "run.json").read_text())
    write(f"{runs['pairs']}/run.json", json.dumps(record | {"finished": None}))
    words = segment("--strategy", "offline", "--synthetic", runs["pairs"], data=PHANTOM)
    return words, ["pairs", "not finished", "--resume"]


def no_class_of_that_name(runs: dict[str, str]) -> Case:
    words = ["synthesize", runs["casdm"], "--masks", PHANTOM, "--out", "set", "--classes", "grasper,bloood"]
    return words, ["'bloood'", "Did you mean 'blood'"]


def no_pairs(runs: dict[str, str]) -> Case:
    return ["synthesize", runs["casdm"], "--masks", PHANTOM, "--out", "set", "--count", "0"], [
        "count is 0",
        "a number from 1",
    ]


def no_blocks(runs: dict[str, str]) -> Case:
    words = ["synthesize", runs["casdm"], "--masks", PHANTOM, "--out", "set", "--sampling.block=0"]
    return words, ["sampling.block is 0", "a number from 1"]


def too_many_sampling_steps(runs: dict[str, str]) -> Case:
    words = ["synthesize", runs["casdm"], "--masks", PHANTOM, "--out", "set", "--sampling.steps=2000"]
    return words, ["sampling.steps is 2000", "1 to 1000"]


def guidance_of_a_generator_that_knows_none(runs: dict[str, str]) -> Case:
    words = ["synthesize", runs["casdm"], "--masks", PHANTOM, "--out", "set", "--sampling.guidance=2"]
    return words, ["casdm never saw a scene without its map", "SDM"]


def no_such_sampler(runs: dict[str, str]) -> Case:
    words = ["synthesize", runs["casdm"], "--masks", PHANTOM, "--out", "set", "--sampling.sampler=euler"]
    return words, ["euler", "ddim"]


def unscored_run(runs: dict[str, str]) -> Case:
    Path(runs["none"], "metrics.json").unlink()
    return ["report", runs["none"], "--out", "r.html"], ["none", "not been scored", "rarescene evaluate"]


def damaged_metrics(runs: dict[str, str]) -> Case:
    write(f"{runs['none']}/metrics.json", "{}")
    return ["compare", runs["none"], runs["none"]], ["metrics.json", "Write it again"]


def scores_from_before_a_run_went_on(runs: dict[str, str]) -> Case:
    assert main(segment("--resume", "--training.steps=6", data=PHANTOM, out=runs["none"])) == 0
    words = ["compare", runs["none"], runs["none"]]
    return words, ["metrics.json", "of 4 steps", "trained for 6 since", "Write it again"]


def scoring_a_run_that_is_not_at_its_end(runs: dict[str, str]) -> Case:
    replace(read_record(Path(runs["none"])), finished=None).write(Path(runs["none"]))
    words = ["evaluate", runs["none"], "--data", PHANTOM]
    return words, ["not trained to its end", "--resume"]


def one_strategy_alone(runs: dict[str, str]) -> Case:
    return ["compare", runs["none"]], ["two strategies", "at least one other"]


def the_same_run_twice(runs: dict[str, str]) -> Case:
    return ["report", runs["none"], runs["none"], "--out", "r.html"], ["none", "Give each folder once"]


def no_run(runs: dict[str, str]) -> Case:
    return ["report", "mine", "--out", "r.html"], ["mine", "not a run folder", "--out folder"]


def no_images_to_predict(runs: dict[str, str]) -> Case:
    Path("frames").mkdir()
    return ["predict", runs["none"], "frames", "--out", "found"], ["frames", "holds no image", ".png"]


def images_of_one_name(runs: dict[str, str]) -> Case:
    save("frames/a.png", FRAME)
    save("frames/a.jpg", FRAME)
    return ["predict", runs["none"], "frames", "--out", "found"], ["a.png", "same name", "Rename"]


def no_image_to_predict(runs: dict[str, str]) -> Case:
    write("frame.png", "no image")
    return ["predict", runs["none"], "frame.png", "--out", "found"], ["frame.png", "not an image file"]


def no_phantom_video(runs: dict[str, str]) -> Case:
    return ["phantom", "scenes", "--videos", "0"], ["videos is 0", "a number from 1"]


def classes_proposed_for_no_folder(runs: dict[str, str]) -> Case:
    return ["check", "folder:yours", "--write-classes"], ["yours", "Check the path"]


def classes_proposed_where_they_are(runs: dict[str, str]) -> Case:
    return ["check", "folder:mine", "--write-classes"], ["classes.json", "Edit it"]


CASES: list[Callable[[dict[str, str]], Case]] = [
    a_single_recording, broken_pattern, pattern_without_a_match, impossible_fractions, two_fractions,
    split_of_other_recordings, no_such_split, no_such_data, no_such_strategy, offline_without_a_set,
    a_set_for_none, rare_class_that_is_none, no_steps, steps_that_are_no_number, unknown_option,
    no_such_config, broken_config, config_that_is_a_list, unknown_field_of_a_config, wrong_value_of_a_config,
    unknown_field_of_a_base, no_such_base, base_that_is_a_list, bases_in_a_circle,
    without_what_the_base_does_not_say,
    data_of_somebody_to_resume_in(synthesis_to_resume), data_of_somebody_to_resume_in(curation_to_resume),
    phantom_over_data_of_somebody, predictions_over_the_masks, predictions_among_the_images,
    predictions_of_another_run, scores_over_a_class_table, report_to_a_device,
    tables_over_somebody_elses, run_in_a_device,
    out_that_is_not_empty, out_that_is_a_file, resume_in_a_run_of_another_kind, resume_with_another_seed,
    resume_a_set_in_a_segmenter, resume_a_set_made_otherwise, generator_of_other_classes,
    segmenter_of_other_classes, set_of_other_classes, damaged_generator, damaged_segmenter,
    damaged_description, damaged_record, record_without_its_fields, damaged_manifest,
    image_missing_from_a_set, unfinished_set, no_class_of_that_name, no_pairs, no_blocks,
    too_many_sampling_steps, guidance_of_a_generator_that_knows_none,
    no_such_sampler, unscored_run, damaged_metrics, one_strategy_alone,
    scores_from_before_a_run_went_on, scoring_a_run_that_is_not_at_its_end,
    the_same_run_twice, no_run, no_images_to_predict, images_of_one_name, no_image_to_predict,
    no_phantom_video, classes_proposed_for_no_folder, classes_proposed_where_they_are,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_does_not_fit_is_refused(
    case: Callable[[dict[str, str]], Case], runs: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    words, expected = case(runs)
    capfd.readouterr()
    message = refused(words, capfd)
    for word in expected:
        assert word in message


@pytest.mark.parametrize(
    "case", [batch_that_cannot_be_dealt, resume_to_fewer_steps, damaged_checkpoint], ids=lambda c: c.__name__
)
def test_what_the_loop_refuses_leaves_the_run_as_it_was(
    case: Callable[[dict[str, str]], Case], runs: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    words, expected = case(runs)
    capfd.readouterr()
    message = refused(words, capfd)
    assert all(word in message for word in expected)


def test_a_command_that_failed_at_its_start_can_be_repeated(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(segment("--training.accumulate=3")) == 2
    assert main(segment()) == 0


# A full disk.


class FullDisk:
    """Lets files be put in their place under some folder until it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: str, room: int) -> None:
        self.left, self.full = room, True
        put = os.replace

        def replace(path: Path, target: Path) -> Path:
            if self.full and Path(folder).resolve() in Path(target).resolve().parents:
                self.left -= 1
                if self.left < 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
            put(path, target)
            return Path(target)

        monkeypatch.setattr(Path, "replace", replace)
        monkeypatch.setattr(Path, "rename", replace)


FULL = {
    "phantom": (["phantom", "out", "--videos", "1", "--frames", "3", "--size", "32"], 5),
    "synthesize": (["synthesize", "casdm", "--masks", PHANTOM, "--out", "out", "--count", "5",
                    "--sampling.steps=1", "--sampling.block=2", "--resume"], 7),
    "segment": (["segment", "unet", "--data", PHANTOM, "--out", "out", *BRIEF, "--resume"], 8),
    "predict": (["predict", "none", "mine/images", "--out", "out"], 3),
}  # fmt: skip


@pytest.mark.parametrize("command", FULL)
def test_a_full_disk(
    command: str,
    runs: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    words, room = FULL[command]
    disk = FullDisk(monkeypatch, "out", room)
    assert main(words) == 2
    message = capfd.readouterr().err
    assert "Traceback" not in message
    assert message.startswith("error out/")
    assert "No space left on device" in message
    assert "Free some space" in message
    assert disk.left < 0
    assert not list(Path("out").rglob(".partial-*"))
    for path in Path("out").rglob("*.png"):
        with Image.open(path) as picture:
            picture.load()
    disk.full = False
    assert main(words) == 0  # and the command can be repeated


def test_a_mask_that_was_corrected_by_hand_stays(runs: dict[str, str]) -> None:
    words = ["predict", runs["none"], "mine/images", "--out", "found"]
    assert main(words) == 0
    corrected, image = Path("found/masks/case1_frame1.png"), Path("mine/images/case2_frame1.png")
    corrected.write_bytes(Path("mine/masks/case1_frame1.png").read_bytes())
    Path("found/masks/case3_frame1.png").unlink()
    before = corrected.read_bytes()
    again = Path("found/masks/case2_frame1.png")
    made = again.stat().st_mtime_ns
    save(str(image), FRAME[::-1])
    assert main(words) == 0
    assert corrected.read_bytes() == before
    assert Path("found/masks/case3_frame1.png").is_file()
    assert again.stat().st_mtime_ns > made  # its image has changed


def test_a_card_that_somebody_edited_stays(runs: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    words, card = ["evaluate", runs["none"], "--data", PHANTOM, "--quiet"], Path("none/README.md")
    assert main(words) == 0
    own = card.read_text()
    assert "Scores on held-out recordings" in own
    assert main(words) == 0  # its own is written anew
    assert card.read_text() == own
    card.write_text(f"{own}\nSeen by the ethics board.\n")
    assert main(words) == 0
    assert "Seen by the ethics board." in card.read_text()
    assert "none/README.md is not as rarescene wrote it, and stays" in capfd.readouterr().out
