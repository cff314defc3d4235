"""What somebody meant by an option that a command does not have."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence

ELSEWHERE = {
    ("epoch", "epochs", "num_epochs", "max_epochs"): "steps",
    ("iterations", "iters", "max_steps", "train_steps"): "steps",
    ("lr", "learningrate", "base_lr"): "learning_rate",
    ("batch", "bs", "batchsize", "train_batch_size"): "batch_size",
    ("size", "image_size", "img_size", "imgsz", "input_size", "resolution"): "height width size",
    ("wd",): "weight_decay",
    ("amp", "fp16", "bf16", "half"): "mixed_precision precision",
    ("output", "output_dir", "out_dir", "save_dir", "outdir", "logdir"): "out",
    ("dataset", "data_dir", "data_path", "dataroot", "input"): "data",
    ("random_seed",): "seed",
    ("num_samples", "num_images", "n"): "count",
}  # fmt: skip
"""How other programs call what ends so here."""

NOTES = {
    ("epoch", "epochs", "num_epochs", "max_epochs"): "Trainings are counted in optimiser steps: epochs × "
    "scenes / batch size.",
    ("device", "devices", "gpu", "gpus", "gpu_id", "gpu_ids", "cuda", "cpu"): "A GPU is found by itself; "
    "CUDA_VISIBLE_DEVICES=1 before the command chooses another one, CUDA_VISIBLE_DEVICES= none.",
}
"""What is to be said where an option alone is no answer."""


def meant(what: str, known: Sequence[str]) -> list[str]:
    """Return a sentence for each unknown option that a parser's message names, where anything is to be said.

    Args:
        what: the message.
        known: the options of the command, with their dashes.
    """
    named = re.findall(r"(?<!\S)--([\w.]+)", what) if what.startswith("unrecognized") else []
    named += [".".join(found) for found in re.findall(r"Group '(.+?)' does not accept option '(.+?)'", what)]
    said = []
    for option in dict.fromkeys(named):
        if others := alternatives(option, known):
            said.append(f"For --{option} write {' or '.join(others)}.")
        said += [note for names, note in NOTES.items() if option in names]
    return said


def alternatives(option: str, known: Collection[str]) -> list[str]:
    """Return the options that end like what was meant, of those the ones nearest to hand; or alike ones."""
    last = option.rpartition(".")[2]
    ends = [last, *(end for names, found in ELSEWHERE.items() if last in names for end in found.split())]
    places: dict[int, list[str]] = {}
    for one in known:
        if one.startswith("--") and one[2:].rpartition(".")[2] in ends:
            depth = 0 if "." not in one else 1 if ".training." in f".{one[2:]}" else 2
            places.setdefault(depth, []).append(one)
    if places:
        return places[min(places)]
    return difflib.get_close_matches(f"--{option}", known, n=2, cutoff=0.75)
