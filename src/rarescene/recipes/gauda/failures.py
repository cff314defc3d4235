"""Figure 13: pairs that went wrong: noisy instruments, wrong or missing labels, small inconsistent regions.

A segmenter trained on real frames says what it sees in the image of a pair; where it sees another class than
the mask, one of the two is wrong. The same is counted on real test frames, whose labels are right: what is
found there is the segmenter's own error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from rarescene.evaluation import pair_agreement, pair_iou
from rarescene.evaluation.pair_scores import BATCH, Judge
from rarescene.foundation.errors import ConfigError
from rarescene.foundation.run_record import read_record
from rarescene.recipes.gauda.scale import PAPER, TITLES, DataName
from rarescene.recipes.gauda.study import GaudaStudy
from rarescene.recipes.outcome import MISSING, NOT_TRAINED, Outcome, Sheet, percent
from rarescene.reports import contact_sheet
from rarescene.scenes import Request, SceneCache, open_scenes
from rarescene.scenes.data import decode
from rarescene.sources.leakage import open_judge

SHOWN = 3
"""Pairs of each kind that are shown."""

LARGE = 0.01
"""Share of the frame from which a region of another label is large."""

PIECE = 0.002
"""Share of the frame below which a piece of an instrument is noise."""

SEEN = 0.005
"""Share of the frame from which a failure counts."""

INSTRUMENTS: Mapping[str, Sequence[str]] = {
    "cholecseg8k": ("grasper", "L-hook electrocautery"),
    "cadis setting 2": (
        "eye retractors", "cannula", "capsulorhexis cystotome", "tissue forceps", "primary knife",
        "phaco handpiece", "lens injector", "I/A handpiece", "secondary knife", "micromanipulator",
        "capsulorhexis forceps",
    ),
    "sisvse": (
        "HarmonicAce head", "HarmonicAce body", "MarylandBipolar head", "MarylandBipolar wrist",
        "MarylandBipolar body", "Cadiere head", "Cadiere wrist", "Cadiere body",
        "curved atraumatic grasper head", "curved atraumatic grasper body", "stapler head", "stapler body",
        "medium-large clip applier head",
        "medium-large clip applier wrist", "medium-large clip applier body", "small clip applier head",
        "small clip applier wrist", "small clip applier body", "suction irrigation", "needle", "endotip",
        "other instruments",
    ),
}  # fmt: skip
"""The instruments of each class table, by its name; of any other table all classes are looked at."""

KINDS = ("noisy instrument masks", "wrong or missing labels", "small inconsistent regions")


@dataclass(frozen=True)
class Failures:
    """What is wrong in N scenes.

    Attributes:
        shares: of each kind, its share of the frame, `(N, 3)` in the order of `KINDS`.
        agreement: mean IoU of the segmenter with the mask, `(N,)`.
        seen: what the segmenter sees, uint8 `(N, H, W)`.
    """

    shares: np.ndarray
    agreement: np.ndarray
    seen: np.ndarray

    @property
    def failing(self) -> np.ndarray:
        """The share of the scenes that fail in each kind, `(3,)`."""
        share: np.ndarray = (self.shares >= SEEN).mean(axis=0)
        return share


def fig13(studies: Mapping[DataName, GaudaStudy], scale: str) -> Outcome:
    """Figure 13: the worst pairs of each kind."""
    out, rows, titles = Outcome("gauda-fig13", scale, "GAUDA, Figure 13: failures"), [], []
    judged_by = next(iter(studies.values())).scale.judge
    for data, study in studies.items():
        judges, folder = study.cells(judged_by, PAPER[0]), study.have(study.pairs("joint"))
        if judges is None or folder is None:
            out.say(f"{study.title}: {NOT_TRAINED}.")
            continue
        run, pairs = judges[study.scale.seeds[0]], open_scenes(f"set:{folder}")
        made = decode(pairs, *study.scale.size)
        real = decode(study.data.scenes.subset(study.data.split.test), *study.scale.size)
        judge = open_judge(run, read_record(run), pairs.classes)
        of_pairs, of_frames = (find_failures(judge, scenes) for scenes in (made, real))
        requests = (Request.from_dict(record.details["request"]) for record in pairs.records)
        missing = float(
            np.mean([(made.class_pixels[i, list(one.ids)] == 0).any() for i, one in enumerate(requests)])
        )
        out.sheets.append(_counted(study.title, of_pairs, of_frames, missing))
        for kind, name in enumerate(KINDS):
            shares = of_pairs.shares[:, kind]
            for place in np.argsort(-shares, kind="stable")[:SHOWN].tolist():
                if shares[place] > 0:
                    rows.append(_row(made, place, of_pairs.seen[place]))
                    agreement = f"{shares[place]:.1%} of the frame, agreement {of_pairs.agreement[place]:.2f}"
                    titles.append(f"{name}: {agreement} · {study.title}")
        sides = {"pairs": of_pairs.failing, "real frames": of_frames.failing}
        out.values[data] = {
            name: {side: float(failing[kind]) for side, failing in sides.items()}
            for kind, name in enumerate(KINDS)
        } | {"without a class asked for": missing}
        out.say(*study.titled_notes())
        out.used({f"pairs, {data}": folder, f"{judged_by}, {data}": run})
    if not out.sheets:
        raise ConfigError("there are no pairs to judge", "Leave --datasets out, to train what makes them.")
    labels = ["image", "its mask", f"seen by {TITLES[judged_by]}", "where they differ"]
    if rows:
        sheet = contact_sheet(rows, labels, titles=titles, side=192, flat=(1, 2, 3))
        out.pictures["gauda-fig13"] = np.asarray(sheet)
    out.say(
        f"Noisy instrument masks: pieces of an instrument below {PIECE:.1%} of the frame. Wrong or "
        f"missing labels: regions from {LARGE:.0%} of the frame in which the segmenter sees another "
        "class than the mask says; small inconsistent regions: such regions below. Borders one pixel "
        "wide count nowhere.",
        f"A pair fails in a kind that covers {SEEN:.1%} of the frame or more. On real test frames the "
        "same is counted as the segmenter's own error.",
        f"Shown: the {SHOWN} pairs of the largest share of each kind, chosen by rule. Judged by one "
        f"{TITLES[judged_by]} trained on real frames.",
    )
    return out


def find_failures(judge: Judge, scenes: SceneCache) -> Failures:
    """Return what is wrong in scenes, as the segmenter sees it."""
    table, shares, agreement, seen = scenes.classes, [], [], []
    instruments = INSTRUMENTS.get(table.name, table.names)
    ids = table.ids_of(instruments)
    for start in range(0, len(scenes), BATCH):
        pixels, masks = scenes.take(range(start, min(start + BATCH, len(scenes))))
        found = judge.predict(pixels)
        agreement.append(pair_agreement(pair_iou(found, masks, len(table), table.ignore_index)))
        seen.append(found)
        shares += [
            failure_shares(mask, other, ids, table.ignore_index)
            for mask, other in zip(masks, found, strict=True)
        ]
    return Failures(np.array(shares), np.concatenate(agreement), np.concatenate(seen))


def failure_shares(
    mask: np.ndarray, seen: np.ndarray, instruments: Sequence[int], ignore_index: int
) -> tuple[float, float, float]:
    """Return the share of the frame of each of `KINDS`.

    Args:
        mask: class ids `(H, W)`.
        seen: class ids `(H, W)` that a segmenter sees in the image.
        ignore_index: of unlabelled pixels, which count nowhere.
    """
    noise = sum(
        int(sizes[sizes < PIECE * mask.size].sum()) for sizes in (_pieces(mask == one) for one in instruments)
    )
    # An opening takes away what is thinner than two pixels, as borders are that lie one pixel apart.
    differ = ndimage.binary_opening((mask != seen) & (mask != ignore_index), np.ones((2, 2), bool))
    sizes = _pieces(differ)
    large = sizes >= LARGE * mask.size
    return noise / mask.size, int(sizes[large].sum()) / mask.size, int(sizes[~large].sum()) / mask.size


def _pieces(where: np.ndarray) -> np.ndarray:
    """Return the sizes of the connected pieces, in pixels; those that touch at a corner are one."""
    labels, _ = ndimage.label(where, np.ones((3, 3), int))
    return np.bincount(labels.ravel())[1:]


def _row(scenes: SceneCache, place: int, seen: np.ndarray) -> list[np.ndarray]:
    pixels, masks = scenes.take([place])
    table = scenes.classes
    differ = np.where((masks[0] != seen)[..., None], (213, 94, 0), (235, 235, 235)).astype(np.uint8)
    return [pixels[0], table.colourise(masks[0]), table.colourise(seen), differ]


def _counted(title: str, pairs: Failures, frames: Failures, missing: float) -> Sheet:
    columns = [column for one in (pairs, frames) for column in (one.failing, one.shares.mean(axis=0))]
    rows = [(name, *(percent(float(column[kind])) for column in columns)) for kind, name in enumerate(KINDS)]
    rows.append(("a class asked for is missing", percent(missing), MISSING, MISSING, MISSING))
    heads = ("kind", "pairs", "of the area of pairs", "real frames", "of the area ")
    return Sheet(f"{title}: failures, in per cent", heads, tuple(rows))
