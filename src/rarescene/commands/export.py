"""`rarescene export`: scenes of data, synthetic ones, or both, as other tools read them, and marked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from rarescene.foundation.calling import takes_text_for_paths
from rarescene.foundation.configs import Range, Seed, Share
from rarescene.foundation.console import progress, say
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.run_record import read_record
from rarescene.scenes import (
    Export,
    ExportSource,
    need_empty_folder,
    write_coco,
    write_huggingface,
    write_nnunet,
)
from rarescene.scenes.data import open_data
from rarescene.sources.leakage import open_finished, open_pairs


@takes_text_for_paths
def export_nnunet(*, out: Path, **options: Any) -> None:
    """Write raw data of nnU-Net v2: `Dataset501_Name` with images, labels, dataset.json and one fold.

    Args:
        out: folder to write, …/Dataset501_Name; missing or empty.
        **options: those of every export.
    """
    export = _gather(out, **options)
    with progress("exporting") as advance:
        write_nnunet(export, out, advance)
    _summarise(export, out)


@takes_text_for_paths
def export_coco(*, out: Path, things: str = "", **options: Any) -> None:
    """Write COCO instances and COCO panoptic.

    Args:
        out: folder to write; missing or empty.
        things: comma-separated classes whose connected pieces are objects of their own, such as instruments;
            the others are stuff. Without any, instances hold the pieces of every class.
        **options: those of every export.
    """
    export = _gather(out, **options)
    with progress("exporting") as advance:
        write_coco(export, out, export.classes.ids_in(things), advance)
    _summarise(export, out)


@takes_text_for_paths
def export_huggingface(*, out: Path, **options: Any) -> None:
    """Write a folder for `datasets.load_dataset`: Parquet by split, and a card.

    Args:
        out: folder to write; missing or empty.
        **options: those of every export.
    """
    export = _gather(out, **options)
    with progress("exporting") as advance:
        write_huggingface(export, out, advance)
    _summarise(export, out)


@takes_text_for_paths
def _gather(
    out: Path,
    *,
    data: str = "",
    synthetic: Path | list[Path] | None = None,
    title: str = "",
    height: Annotated[int, Range(1, 16_384)] | None = None,
    width: Annotated[int, Range(1, 16_384)] | None = None,
    split: str = "recording",
    fractions: tuple[Share, Share, Share] | None = None,
    split_seed: Seed = 0,
    group_by: str | None = None,
) -> Export:
    """Gather what is exported.

    Args:
        out: folder to write.
        data: real scenes, NAME:PATH or a YAML file; none where only synthetic ones are exported.
        synthetic: folder of `rarescene synthesize`; several as '[SET, SET]'. All of it trains.
        title: of the exported data set; by default the name of its folder.
        height: of the exported scenes; by default each keeps its own size.
        width: likewise.
        split: "recording", "time", "cholecseg8k", "cadis", "fold1" to "fold3" (SISVSE), "casdm", "gauda", or
            a file that lists the recordings of each part.
        fractions: shares of training, validation and test; by default those that suit the split.
        split_seed: seed of the split; keep it the same for all that is compared.
        group_by: regular expression whose first group tells the recordings of a folder apart.
    """
    need_empty_folder(out)
    if (height is None) != (width is None):
        raise ConfigError("a height or a width alone was given", "Give both, or neither.")
    source = open_data(data, split, split_seed, fractions, group_by) if data else None
    sources, notes = [], []
    if source is not None:
        phantom = source.provenance().phantom
        sources.append(ExportSource.of_data(source.scenes, source.split, phantom=phantom))
        notes += [source.split.warning] if source.split.warning else []
    for folder in [synthetic] if isinstance(synthetic, Path) else synthetic or ():
        made = read_record(folder, "scene set")
        pairs = open_finished(folder, made) if source is None else open_pairs(folder, made, source)
        behind = made.provenance
        sources.append(ExportSource.of_pairs(pairs, phantom=behind.phantom, seen=behind.seen.spans))
    size = None if height is None or width is None else (height, width)
    return Export.of(title or out.resolve().name, sources, size=size, notes=notes)


def _summarise(export: Export, out: Path) -> None:
    parts = Counter(case.part for case in export.cases)
    counted = ", ".join(f"{parts[part]} {part}" for part in parts)
    synthetic = sum(case.source.synthetic for case in export.cases)
    sizes = {source.scenes.mask(0).shape for source in export.sources}
    if export.size is None and len(sizes) > 1:
        listed = ", ".join(f"{width}×{height}" for height, width in sorted(sizes, reverse=True))
        say(f"note: the sets differ in size ({listed}); nothing was resized. --height and --width would.")
    say(f"{len(export)} scenes in {out} ({counted}), {synthetic} synthetic; licence: {export.licence}")
