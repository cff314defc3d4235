"""`rarescene realism`: do synthetic images look like real ones? The scores, for reports and recipes too.

Two kinds of scores are told apart. Distances between distributions (Fréchet, kernel) need no pairs:
synthetic images are compared with real test frames, and so are equally many training frames, which
says how far apart recordings are. MS-SSIM and PSNR compare an image with the frame whose mask it was
generated for, where there is one.
"""

from __future__ import annotations

from pathlib import Path

from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import Count
from rarescene.foundation.console import say, show
from rarescene.foundation.errors import CheckpointError, DataError
from rarescene.foundation.files import write_json
from rarescene.foundation.outputs import alone_at, need_own_file
from rarescene.foundation.run_record import read_record
from rarescene.reports.realism import (
    MOST,
    distances_to_real,
    measures_to_dict,
    paired_measures,
    realism_config,
)
from rarescene.scenes.data import decode, open_as_in
from rarescene.sources.leakage import open_finished


@takes_text_for_paths
def realism(
    pairs: Path,
    *,
    data: str | None = None,
    inception: Path | None = None,
    most: Count = MOST,
    split: str | None = None,
    group_by: str | None = None,
    out: Path | None = None,
) -> None:
    """Compare synthetic images with real ones: Fréchet and kernel distance, MS-SSIM and PSNR.

    Args:
        pairs: folder of a synthetic set.
        data: real data; by default those that the set was made from.
        inception: TorchScript file of Inception v3 (inception-2015-12-05.pt) for FID and KID. Without it, the
            distances are those of the embedded EfficientNet-Lite0, which are never called FID.
        most: images that are compared at most.
        split: how DATA is split; by default as the generator's data were.
        group_by: regular expression that tells the recordings of a folder apart; by default the generator's.
        out: JSON file to write as well.
    """
    from rarescene.reports import realism_table

    need_own_file(out, '"pairs"', '"data"', '"measures"')
    config = realism_config(inception)
    made = read_record(pairs, "scene set")
    synthetic = open_finished(pairs, made)
    synthetic.need_images()
    source = open_as_in(made.provenance, data, split=split, group_by=group_by)
    if source.scenes.classes.fingerprint != synthetic.classes.fingerprint:
        what = f"has the classes of {synthetic.classes.name!r}, not of {source.scenes.classes.name!r}"
        raise CheckpointError(what, "Give the data that the set was made from.", pairs)
    if not source.split.test:
        raise DataError(f"{source.spec} has no test frames to compare with", "Choose another --split.")
    cache = decode(synthetic, *synthetic.mask(0).shape)
    training, test = (
        decode(source.scenes.subset(part), *cache.size) if part else None
        for part in (source.split.train, source.split.test)
    )
    assert test is not None
    measures = (*distances_to_real(cache, test, training, config, most), *paired_measures(pairs, most))
    show(realism_table(measures, title=f"Images of {pairs.resolve().name}"))
    if out is not None:
        with alone_at(out):
            write_json(
                out,
                {"pairs": str(pairs), "data": source.provenance().union(made.provenance).describe()}
                | measures_to_dict(measures),
            )
        say(f"written to {out}")
