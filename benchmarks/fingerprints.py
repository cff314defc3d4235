"""What each method's training leaves, as hashes: a change that is to change nothing leaves them as they were.

    python benchmarks/fingerprints.py OUT

trains every method for a few steps on phantom scenes, draws a few pairs from every generator, and prints one line
a folder: its name and a hash of its weights, or of its images and masks. About four minutes on 2 cores. Hashes
depend on the machine and on the version of PyTorch; compare those of two commits on one machine.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from rarescene.cli import main

DATA = "phantom:videos=6,frames=8,size=32"
SPLIT = "--fractions=[0.5,0.17,0.33]"
LOOP = [
    "training.steps=4", "training.batch_size=4", "training.log_every=2", "training.save_every=2",
    "training.mixed_precision=no",
]  # fmt: skip
SIZE = ["--model.height=32", "--model.width=32"]
GENERATOR = [*SIZE, *(f"--model.{word}" for word in LOOP), SPLIT, "--data", DATA]
SEGMENTER = [*(f"--{word}" for word in LOOP), "--training.validate_every=2", SPLIT, "--data", DATA]
SPADE = [
    "--model.network.base_channels=16", "--model.network.multipliers=[1,2]", "--model.network.blocks_per_level=1",
    "--model.network.attention_strides=[]", "--model.network.head_channels=16", "--model.network.patch=2",
    "--model.diffusion.prediction=v",
]  # fmt: skip
MAPS = [
    "--model.network.channels=[16,32]", "--model.network.attention_strides=[8]", "--model.network.blocks_per_level=1",
    "--model.network.head_channels=16", "--model.network.prompt_channels=16", "--model.network.patch=4",
    "--model.diffusion.prediction=x0",
]  # fmt: skip
VQGAN = [
    "--model.network.levels=[16,32]", "--model.network.patch=2", "--model.network.blocks_per_level=1",
    "--model.network.codes=32", "--model.adversarial.widths=[16]",
]  # fmt: skip
JOINT = [
    "--model.network.channels=[32,32]", "--model.network.attention_strides=[2]", "--model.network.blocks_per_level=1",
    "--model.network.head_channels=16", "--model.network.prompt_channels=16", "--model.diffusion.prediction=v",
]  # fmt: skip
GAN = [
    "--model.network.channels=[8,8,16,16]", "--model.network.latent=16", "--model.network.mapping_layers=2",
    "--model.adversarial.path_weight=0.0", "--model.refinement.frames=4", "--model.refinement.steps=2",
    "--model.encoder.training.steps=2", "--model.encoder.training.batch_size=4",
    "--model.encoder.training.mixed_precision=no", "--model.encoder.feature_size=32",
    "--model.labels.training.steps=4", "--model.labels.training.mixed_precision=no",
]  # fmt: skip
ONLINE = ["--gauda.size=4", "--gauda.samples=2", "--gauda.classes=2", "--gauda.drawing.block=4"]
FEW = ["--sampling.steps=2", "--count=6", "--sampling.block=4"]
NARROW = ["--model.widths=[16,16]"]


def commands(out: Path) -> list[list[str]]:
    """Return the command of each folder below `out`."""
    made = [
        ["train", "casdm", *GENERATOR, *SPADE, "--model.network.spade_hidden=8"],
        ["train", "sdm", *GENERATOR, *SPADE, "--model.network.spade_hidden=8"],
        ["train", "conditional-ddpm", *GENERATOR, *SPADE],
        ["train", "maps", *GENERATOR, *MAPS],
        ["train", "image-vqgan", *GENERATOR, *VQGAN, "--model.perceptual_size=32"],
        ["train", "mask-vqgan", *GENERATOR, *VQGAN],
        [
            "train",
            "joint",
            *GENERATOR,
            *JOINT,
            "--images",
            f"{out}/image-vqgan",
            "--masks",
            f"{out}/mask-vqgan",
        ],
        ["train", "datasetgan", *GENERATOR, *GAN],
        ["segment", "unet", *SEGMENTER, *NARROW],
        ["segment", "segformer", *SEGMENTER, "--model.size=tiny", "--model.enlarge=2"],
        ["segment", "mask2former", *SEGMENTER, "--model.size=tiny", "--model.enlarge=2"],
        ["segment", "phiseg", *SEGMENTER, *NARROW, "--model.latent_levels=2", "--model.samples=2"],
        ["segment", "unet-ensemble", *SEGMENTER, *NARROW, "--model.members=2"],
    ]
    named = [[*words, "--out", f"{out}/{words[1]}"] for words in made]
    pairs = [
        ["synthesize", f"{out}/casdm", "--masks", DATA, *FEW, "--out", f"{out}/pairs-casdm"],
        ["synthesize", f"{out}/sdm", "--masks", DATA, *FEW, "--vary", "--out", f"{out}/pairs-sdm"],
        ["synthesize", f"{out}/casdm", "--maps", f"{out}/maps", *FEW, "--map_sampling.steps=2",
         "--map_sampling.tries=2", "--map_sampling.block=4", "--out", f"{out}/pairs-maps"],
        ["synthesize", f"{out}/joint", *FEW, "--out", f"{out}/pairs-joint"],
        ["synthesize", f"{out}/datasetgan", "--count=6", "--sampling.block=4", "--out", f"{out}/pairs-datasetgan"],
        ["maps", f"{out}/maps", "--count=6", "--map_sampling.steps=2", "--map_sampling.tries=2",
         "--map_sampling.block=4", "--out", f"{out}/drawn-maps"],
    ]  # fmt: skip
    strategies = [
        [*words, "--out", f"{out}/unet-{name}"]
        for name, words in {
            "duplicate": ["segment", "unet", *SEGMENTER, *NARROW, "--strategy=duplicate"],
            "classic": ["segment", "unet", *SEGMENTER, *NARROW, "--strategy=classic"],
            "adaptive": ["segment", "unet", *SEGMENTER, *NARROW, "--strategy=adaptive"],
            "offline": ["segment", "unet", *SEGMENTER, *NARROW, "--strategy=offline",
                        "--synthetic", f"{out}/pairs-casdm"],
        }.items()
    ]  # fmt: skip
    ensemble = [
        "segment",
        "unet-ensemble",
        *SEGMENTER,
        *NARROW,
        "--model.members=2",
        "--strategy=gauda",
        *ONLINE,
    ]
    strategies += [
        [*ensemble, "--sampling.steps=2", "--generator", f"{out}/joint", "--out", f"{out}/gauda-joint"],
        [*ensemble, "--generator", f"{out}/datasetgan", "--out", f"{out}/gauda-datasetgan"],
        [*ensemble, "--sampling.steps=2", "--map_sampling.steps=2", "--map_sampling.tries=2",
         "--generator", f"{out}/casdm", "--maps", f"{out}/maps", "--out", f"{out}/gauda-maps"],
    ]  # fmt: skip
    return [*named, *pairs, *strategies]


def fingerprint(folder: Path) -> str:
    """Return a hash of the weights below a folder, or, of a scene set, of its images and masks."""
    files = sorted((folder / "model").rglob("*.safetensors"))
    files = files or sorted(path for part in ("images", "masks") for path in (folder / part).rglob("*.png"))
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16] if files else "nothing was written"


if __name__ == "__main__":
    root = Path(sys.argv[1])
    for words in commands(root):
        if main(words) != 0:
            sys.exit(f"failed: {' '.join(words)}")
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        print(f"{folder.name:<20} {fingerprint(folder)}")
