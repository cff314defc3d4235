"""`rarescene predict`: masks and overlays for a user's own frames."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import Share
from rarescene.foundation.console import progress, say
from rarescene.foundation.errors import ConfigError, DataError
from rarescene.foundation.files import file_hash
from rarescene.foundation.outputs import writes_folder
from rarescene.foundation.run_folder import same_run
from rarescene.foundation.run_record import RECORD, RunRecord, read_record
from rarescene.scenes import IMAGE_SUFFIXES, walk_files, what_is_not_read
from rarescene.scenes.data import padding_of


@takes_text_for_paths
@writes_folder("predictions", "predictions", goes_on=True)
def predict(run: Path, images: Path, *, out: Path, opacity: Share = 0.45) -> None:
    """Predict a mask for every image: 8-bit palette PNGs in OUT/masks, overlays to look at in OUT/overlays.

    Args:
        run: folder of a `rarescene segment` run.
        images: one image, or a folder of images (nested ones are found, and keep their place).
        out: folder for the results, at the size of the images; not among them. Masks that are there and newer
            than their images are kept, those corrected by hand too.
        opacity: of the class colours in the overlays, 0 to 1.

    Raises:
        ConfigError: the folder lies among the images, or holds what was predicted otherwise.
    """
    import torch
    import torch.nn.functional as F

    from rarescene.scenes import cut_back, pad_to_aspect, read_image, resize_image, write_image, write_mask
    from rarescene.segmenters import load_segmenter
    from rarescene.training import to_images
    from rarescene.training.ranks import accelerator

    began = time.perf_counter()
    trained = read_record(run, "segmenter")
    settings, pad = trained.config, padding_of(trained)
    root, files = _listed(images)
    if images.is_dir() and out.resolve().is_relative_to(images.resolve()):
        what = "lies among the images, whose masks and overlays would be taken for images the next time"
        raise ConfigError(what, "Choose an --out that is not within the folder of the images.", out)
    network, table = load_segmenter(run / "model")
    record = RunRecord.begin(
        kind="predictions",
        config={
            "run": str(run), "weights": file_hash(run / "model" / "weights.safetensors"),
            "images": str(images), "opacity": opacity,
        },
        seed=trained.seed, provenance=trained.provenance, class_table=table.to_dict(),
        accelerator=accelerator(),
    )  # fmt: skip
    same_run(out, record)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    with progress("predicting") as advance:
        for done, file in enumerate(files, start=1):
            advance(done, len(files))
            place = file.relative_to(root).with_suffix(".png")
            made = out / "masks" / place, out / "overlays" / place
            if all(_is_newer(path, file) for path in made):
                continue
            image = read_image(file)
            seen = image if pad is None else pad_to_aspect(image, pad)
            small = to_images(resize_image(seen, settings["height"], settings["width"])[None]).to(device)
            probabilities = F.interpolate(
                network.predict(small), size=seen.shape[:2], mode="bilinear", align_corners=False
            )
            probabilities = cut_back(probabilities, *image.shape[:2])
            mask = probabilities.argmax(1)[0].cpu().numpy().astype(np.uint8)
            blend = (1 - opacity) * image + opacity * table.colourise(mask)
            if not (out / RECORD).is_file():
                record.write(out)
            write_mask(made[0], mask, table)
            write_image(made[1], blend.round().astype(np.uint8))
    record.ended(time.perf_counter() - began, {"masks": len(files)}).write(out)
    say(f"{len(files)} masks in {out / 'masks'}, overlays in {out / 'overlays'}")


def _is_newer(made: Path, image: Path) -> bool:
    """Return whether a mask or an overlay is there, and was made, or corrected by hand, after its image."""
    return made.is_file() and made.stat().st_mtime_ns > image.stat().st_mtime_ns


def _listed(images: Path) -> tuple[Path, Sequence[Path]]:
    """Return a root and the images under it.

    Raises:
        DataError: there is none, or two of them would get a mask of the same name.
    """
    if images.is_file():
        return images.parent, [images]
    files = walk_files(images)
    if not files:
        endings = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError("holds no image", f"Give an image, or a folder of {endings} files.", images)
    if note := what_is_not_read(images):
        say(f"note: {note}")
    first: dict[Path, Path] = {}
    for file in files:
        if (other := first.setdefault(file.with_suffix(""), file)) != file:
            raise DataError(
                f"has the same name as {other.name}", "Rename one of them: masks are named like images.", file
            )
    return images, files
