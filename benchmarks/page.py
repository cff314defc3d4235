"""Writes docs/results.md and docs/does-it-help.md from the files in benchmarks/results: no number is typed by hand.

Run: python benchmarks/page.py
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from comparisons import CELLS, compared, does_it_help, learned
from harness import RESULTS

from rarescene.foundation.files import read_json, write_text
from rarescene.recipes.outcome import Sheet

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "results.md"

GAUDA = {
    "table1": "GAUDA, Table 1: PHiSeg, by the way of training",
    "table2": "GAUDA, Table 2: the U-Net ensemble, by the way of training",
    "fig6": "GAUDA, Figure 6: IoU by the way of training",
    "fig12": "GAUDA, Figure 12: Dice and average precision",
    "fig8": "GAUDA, Figure 8: where classic augmentation helps one model and harms the other",
    "table5": "GAUDA, Table 5: joint diffusion and DatasetGAN",
    "fig5": "GAUDA, Figure 5: RO over the guidance scale",
    "fig4": "GAUDA, Figure 4: joint pairs",
    "fig13": "GAUDA, Figure 13: pairs that went wrong",
    "table6": "GAUDA, Table 6: what each part costs",
    "fig3": "GAUDA, Figure 3: how large a space is learned",
    "fig10": "GAUDA, Figure 10, simulated: sampling by uncertainty or by score",
    "fig11": "GAUDA, Figure 11, simulated: augmentation before or during the training",
}
"""Recipe → heading."""


def main() -> None:
    sections: dict[str, tuple[str, str, Callable[[dict[str, Any]], list[str]]]] = {
        "demo": ("The demo", "make demo && .venv/bin/python benchmarks/demo.py --out demo", demo),
        "evidence-phantom": (
            "Rare classes in real frames, learned to the end",
            "rarescene benchmark --config evidence-phantom --out runs/evidence",
            recipe,
        ),
        "evidence-unlabelled": (
            "Rare classes in frames of recordings without masks",
            "rarescene benchmark --config evidence-unlabelled --out runs/unlabelled",
            recipe,
        ),
        "insertions": (
            "Rare classes in real frames, in few steps",
            "python benchmarks/insertions.py --out runs/insertions",
            insertions,
        ),
        "strategies": (
            "Three strategies, three seeds",
            "python benchmarks/strategies.py --out runs/strategies",
            strategies,
        ),
        "prompted_maps": (
            "Prompted maps",
            "python benchmarks/prompted_maps.py --out runs/maps --cadis CaDIS",
            prompted_maps,
        ),
        "casdm-table5": (
            "What each loss of CASDM adds (the paper's Table 5)",
            "rarescene reproduce casdm-table5 --scale tiny",
            recipe,
        ),
        "casdm-table1": (
            "Three image generators (Table 1)",
            "rarescene reproduce casdm-table1 --scale tiny",
            recipe,
        ),
        "casdm-fig4": (
            "Their images (Figure 4)",
            "rarescene reproduce casdm-fig4 --scale tiny",
            recipe,
        ),
        "casdm-table2": (
            "Six training sets (Table 2)",
            "rarescene reproduce casdm-table2 --scale tiny",
            recipe,
        ),
        "casdm-fig5": (
            "Prompted and real maps (Figure 5)",
            "rarescene reproduce casdm-fig5 --scale tiny",
            recipe,
        ),
        "casdm-fig6": ("Predictions (Figure 6)", "rarescene reproduce casdm-fig6 --scale tiny", recipe),
        **{
            f"gauda-{name}": (title, f"rarescene reproduce gauda-{name} --scale tiny", recipe)
            for name, title in GAUDA.items()
        },
        "joint_text": (
            "From words to image and mask in one step",
            "python benchmarks/joint_text.py LABELS --images RUN --masks RUN --out runs/joint-text",
            joint_text,
        ),
        "gauda_cost": ("What GAUDA costs: PHiSeg", "python benchmarks/gauda_cost.py RUN", gauda_cost),
        "gauda_cost_ensemble": (
            "What GAUDA costs: the U-Net ensemble",
            "python benchmarks/gauda_cost.py RUN --segmenter unet-ensemble "
            "--results benchmarks/results/gauda_cost_ensemble.json",
            gauda_cost,
        ),
        "ambiguity": ("Does PHiSeg learn a distribution?", "python benchmarks/ambiguity.py", ambiguity),
        "real_clip": (
            "A real clip",
            "python benchmarks/real_clip.py --data CholecSeg8k --out runs/clip",
            real_clip,
        ),
        "cached_modulation": (
            "Cached modulation",
            "python benchmarks/cached_modulation.py",
            cached_modulation,
        ),
        "data_path": ("Data path", "python benchmarks/data_path.py", data_path),
        "phantom_speed": (
            "Phantom scenes a second",
            "OMP_NUM_THREADS=1 python benchmarks/phantom_speed.py",
            phantom_speed,
        ),
        "paper_scale": ("The paper's size on a GPU", "python benchmarks/paper_scale.py", paper_scale),
    }
    lines = [
        "# Results",
        "",
        "Every number here was written by the command above it, into `benchmarks/results/`; this page is made from",
        "those files by `python benchmarks/page.py`.",
    ]
    for name, (title, command, describe) in sections.items():
        path = RESULTS / f"{name}.json"
        found = read_json(path) if path.is_file() else None
        if found is not None and describe is recipe:  # with the options that it was called with
            command = found["command"]
        lines += ["", f"## {title}", "", "```", command, "```", ""]
        if found is None:
            lines.append("Not measured yet. The command stands ready; no number is guessed.")
            continue
        lines += describe(found)
        machine = found["machine"]
        lines += [
            "",
            f"*{machine['processor']}, {machine['cores']} cores, torch {found['versions']['torch']}, "
            f"commit {found['commit']}, {found['date'][:10]}.*",
        ]
    for page, text in ((PAGE, lines), (DOCS / "does-it-help.md", does_it_help())):
        write_text(page, "\n".join(text) + "\n")
        print(f"written to {page.name}")


def demo(found: dict[str, Any]) -> list[str]:
    """Phantom scenes: without, pasted, drawn; one seed."""
    table, seconds = found["comparison"], found["seconds"]
    return [
        f"**Phantom scenes, one seed: an illustration.** {', '.join(found['missed'])} drawn into {found['kept']} frames "
        f"(`offline`) or pasted (`paste`); {len(table['recordings'])} test recordings that neither the generator nor the "
        f"segmenters saw; {found['training']['none']['steps']} steps each. {CELLS}",
        "",
        *compared(table),
        "",
        f"Seconds: frames {seconds['pairs']:.0f}, segmenters {seconds['none']:.0f}, {seconds['paste']:.0f} and "
        f"{seconds['offline']:.0f}; {found['minutes']:.1f} minutes in all.",
    ]


def insertions(found: dict[str, Any]) -> list[str]:
    """Phantom scenes: rare classes in real frames, three seeds."""
    table = found["against"]["none"]
    kept = ", ".join(f"{one['kept']} of {found['scenes']}" for one in found["trust"].values())
    return [
        f"**Phantom scenes**: the demo's ten training recordings and shipped generator; {len(table['recordings'])} further "
        f"test recordings; {found['steps']} steps of {found['batch_size']}; seeds {', '.join(map(str, table['seeds']))}; "
        f"{100 * found['share']:.0f} % of the scenes of a batch are pasted into (`paste`) or drawn into "
        f"(`judged`: regions that a real-trained segmenter sees, {kept}). `needed`: of the rare classes only those that this "
        f"segmenter misses on validation recordings, {' and '.join(found['needed'])}. {CELLS}",
        "",
        *compared(table),
        "",
        "Against `paste-needed`:",
        "",
        *compared(found["against"]["paste-needed"]),
        "",
        *learned(found["on_training_frames"]),
    ]


def strategies(found: dict[str, Any]) -> list[str]:
    """Phantom scenes: strategies at equal steps, several seeds."""
    table = found["comparison"]
    return [
        f"**Phantom scenes**: the demo's data, {found['pairs']} new images for its training maps (`offline`), "
        f"{found['steps']} steps of {found['batch_size']}; seeds {', '.join(map(str, table['seeds']))}; "
        f"{len(table['recordings'])} test recordings. {CELLS}",
        "",
        *compared(table),
    ]


def recipe(found: dict[str, Any]) -> list[str]:
    """A table or a figure, as `rarescene reproduce` or `rarescene benchmark` wrote it."""
    lines = [part for name in found["pictures"] for part in (f"![{found['title']}](pictures/{name})", "")]
    for sheet in found["sheets"]:
        columns, rows = tuple(sheet["columns"]), tuple(map(tuple, sheet["rows"]))
        lines += [*Sheet(sheet["title"], columns, rows).markdown().splitlines(), ""]
    return [*lines, *(f"- {note}" for note in found["notes"])]


def joint_text(found: dict[str, Any]) -> list[str]:
    """What a joint generator that hears words keeps of them, beside one that hears classes alone."""
    text, labels = found["kept"]["text"], found["kept"]["labels"]
    lines = [
        f"**Phantom scenes.** Two trainings of {found['steps']} steps of {found['batch_size']} that differ in the condition "
        "alone. Each drew "
        f"{found['pairs']} pairs for {found['requests']} different requests of test recordings' masks, once, without redraws. "
        "Kept of the classes asked for, in per cent: with words, and in brackets with classes alone, which tells what comes true "
        "by itself.",
        "",
        "| class | asked | shown | number | place |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name in (*text["classes"], "all"):
        heard, unheard = (one["all"] if name == "all" else one["classes"][name] for one in (text, labels))
        if heard["asked"]:
            cells = [
                f"{_share(heard[what])} ({_share(unheard[what])})"
                for what in ("present", "quantity", "place")
            ]
            shown = f"**{name}**" if name == "all" else name
            lines.append(f"| {shown} | {heard['asked']} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        f"- Requests kept as a whole, each class in number and place: {_share(text['whole'])} % with words, "
        f"{_share(labels['whole'])} % with classes alone.",
        "",
        "![Eight pairs drawn with words, images above masks, and below them eight drawn with classes alone]"
        "(pictures/joint_text.png)",
        "",
        f"Asked for, from left to right, among other things: {'; '.join(f'“{words}”' for words in found['shown'])}.",
    ]


def gauda_cost(found: dict[str, Any]) -> list[str]:
    """A GAUDA run against the same run without it."""
    training, gauda, spent = found["training"], found["gauda"], found["seconds_of"]
    phantom = "**Phantom scenes.** " if found["data"]["phantom"] else ""
    height, width = found["size"]
    rows = {
        "a run with GAUDA over the same run without (median)": found["ratio"],
        "lowest and highest of the repeats": (min(found["ratios"]), max(found["ratios"])),
        "the same in processor time": found["ratio_of_processor_time"],
        "a long run, from what one refresh adds to an interval": found["ratio_of_a_long_run"],
        "expected from the number of operations": found["operations"]["expected_ratio"],
        "aimed at: at most": found["wanted"],
        "the paper's, with 1000 denoising steps": 1.48,
    }
    lines = [
        f"{phantom}{found['segmenter']}, {training['steps']} steps of {training['batch_size']} at {width}×{height}; "
        f"a refresh every {training['validate_every']} steps, {gauda['size']} pairs drawn at each "
        f"({gauda['drawing']['when'].replace('_', ' ')}), {gauda['samples']} posterior samples of "
        f"{found['validation_scenes']} validation scenes; {len(found['ratios'])} repeats, by turns in one process.",
        "",
        "| wall time, as a multiple of the run without | |",
        "| --- | ---: |",
    ]
    for name, value in rows.items():
        if value is not None:
            text = " to ".join(f"{one:.3f}" for one in (value if isinstance(value, tuple) else (value,)))
            lines.append(f"| {name} | {text} |")
    lines += ["", "| where the time goes | seconds |", "| --- | ---: |"]
    return [*lines, *(f"| {name.replace('_', ' ')} | {value:.2f} |" for name, value in spent.items())]


def ambiguity(found: dict[str, Any]) -> list[str]:
    """Two plausible contours: do posterior samples show both, as often as the annotators?"""
    data, perfect = found["data"], found["always_the_wide_contour"]
    lines = [
        f"**Phantom scenes.** Two annotators draw the {data['organ']} wide with probability {data['share_wide']:g}, else "
        f"tight, {2 * data['pixels']} pixels apart, whatever the image shows. {found['training']['steps']} steps of "
        f"{found['training']['batch_size']}; {found['samples']} posterior samples of {found['scenes']['test']} scenes of "
        "held-out recordings. The generalised energy distance to the annotators is 0 at best. A contour is drawn as a "
        f"whole, so PHiSeg's coarsest latent is a single place, and γ is {found['models']['phiseg']['kl_growth']:g}.",
        "",
        "| | seed | energy distance ↓ | wide, % | tight, % | neither, % | of the clear ones tight, % | IoU with the nearer |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    rows = [
        (name, run["seed"], run[key])
        for run in found["runs"]
        for name, key in (("deterministic U-Net", "unet"), ("PHiSeg", "phiseg"))
    ]
    for name, seed, one in [*rows, ("the wide contour, perfectly", "–", perfect)]:
        shares = " | ".join(f"{100 * one[f'share_{kind}']:.0f}" for kind in ("wide", "tight", "neither"))
        clear = 100 * one["share_tight"] / (1 - one["share_neither"])
        nearer = one["iou_with_the_nearer"]
        lines.append(
            f"| {name} | {seed} | {one['energy_distance']:.3f} | {shares} | {clear:.0f} | {nearer:.3f} |"
        )
    wide = 100 * data["share_wide"]
    return [*lines, f"| the annotators | – | 0 | {wide:.0f} | {100 - wide:.0f} | 0 | {100 - wide:.0f} | 1 |"]


def prompted_maps(found: dict[str, Any]) -> list[str]:
    """Requests kept by prompted maps, class by class."""
    lines = []
    for name, title in (("phantom", "Phantom scenes"), ("cadis", "Real label maps of CaDIS, Setting 2")):
        if name not in found:
            continue
        one, training = found[name], found[name]["training"]
        alone = one["alone"]
        lines += [
            f"**{title}**: {training['steps']} steps of {training['batch_size']} ({training['minutes']} minutes); "
            f"{alone['maps']} maps, each asked for one class with a number and a place that occur in training. Kept, in per "
            "cent: at the first draw, and in brackets after redraws (8 draws at most).",
            "",
            "| class | shown | number | place | number and place |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        first, after = alone["classes"]["first_draw"], alone["classes"]["after_redraws"]
        for label in first:
            cells = [
                f"{_share(first[label][what])} ({_share(after[label][what])})"
                for what in ("present", "quantity", "place", "kept")
            ]
            lines.append(f"| {label} | {' | '.join(cells)} |")
        means = []
        for what in ("present", "quantity", "place", "kept"):
            pair = [_mean([entry[what] for entry in found.values()]) for found in (first, after)]
            means.append(f"{_share(pair[0])} ({_share(pair[1])})")
        lines += [f"| **mean of the classes** | {' | '.join(means)} |", ""]
        if name == "phantom":  # what is drawn from other data stays under their terms, out of the project
            lines += ["![Maps drawn for single classes, a row a request](pictures/prompted_maps.png)", ""]
        for kind, words in (("alone", "one class asked for"), ("scenes", "whole scenes asked for")):
            copies, alike = one[kind].get("copies"), one[kind].get("alike")
            if copies:
                lines.append(
                    f"- {words}: IoU to the nearest training map {_share(copies['drawn']['median'])} in the median; training maps "
                    f"{_share(copies['own']['median'])} within their recording and {_share(copies['other']['median'])} to other "
                    f"recordings. IoU among maps of one request {_share(alike['drawn'])}, among training maps that keep it "
                    f"{_share(alike['training'])}."
                )
        lines.append("")
    if "representations" in found:
        lines += [
            f"How a map is painted, at an equal, short budget of {found['representations']['steps']} steps (phantom, first draw, mean "
            "of the classes, in per cent). After so few steps colours and bits leave grain, in which every class shows somewhere:",
            "",
            "| representation | shown | number | place | number and place |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        for name, classes in found["representations"]["first_draw"].items():
            means = [
                _share(_mean([entry[what] for entry in classes.values()]))
                for what in ("present", "quantity", "place", "kept")
            ]
            lines.append(f"| `{name}` | {' | '.join(means)} |")
    return lines


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f}"


def real_clip(found: dict[str, Any]) -> list[str]:
    """One CholecSeg8k clip, split in time."""
    lines = [
        f"{found['warning']}",
        "",
        "CASDM is trained on the first 48 frames and draws one image for each map of the last 24. SegFormers trained",
        "on the same 48 real frames are scored on the real last 24 frames and on the synthetic images of their maps;",
        "label-mean IoU over the classes present. The learning rate of SegFormer was chosen on validation recordings of",
        "phantom scenes, not on these frames.",
        "",
        "| seed | real frames | synthetic images | share |",
        "| --- | --- | --- | --- |",
    ]
    for one in found["scores"]:
        real, synthetic = (one[kind]["label_mean_iou"] for kind in ("real", "synthetic"))
        lines.append(f"| {one['seed']} | {real:.3f} | {synthetic:.3f} | {one['share']:.3f} |")
    lines += [
        f"| mean | {found['real']:.3f} | {found['synthetic']:.3f} | {found['share']:.3f} |",
        "",
        f"Training of the generator: {found['seconds']['generator'] / 60:.1f} minutes.",
    ]
    return lines


def cached_modulation(found: dict[str, Any]) -> list[str]:
    """Plain against cached steps."""
    lines = [
        "| network | plain, s a step | fast, s a step | ratio | output |",
        "| --- | --- | --- | --- | --- |",
    ]
    names = {
        "small": "`small` at 128², float32, cached",
        "43M": "44 M at 64², batch 8, cached, bfloat16, channels-last",
    }
    for key, name in names.items():
        one = found[key]
        plain, fast = one["median_seconds"].values()
        output = (
            "equal to the bit" if one["equal_to_the_bit"] else f"relative error {one['relative_error']:.1e}"
        )
        lines.append(f"| {name} | {plain:.2f} | {fast:.2f} | {one['ratio']:.2f} | {output} |")
    return lines


def data_path(found: dict[str, Any]) -> list[str]:
    """Cache against PNGs, and the memory of a process."""
    return ["```json", *_plain(found), "```"]


def phantom_speed(found: dict[str, Any]) -> list[str]:
    """Scenes a second on one core."""
    lines = ["| size | scenes a second of processor time | of wall time |", "| --- | --- | --- |"]
    for size, one in found.items():
        if isinstance(one, dict) and "of_wall_time" in one:
            busy, wall = one["scenes_a_second_of_processor_time"], one["of_wall_time"]
            lines.append(f"| {size} | {busy:.0f} | {wall:.0f} |")
    return lines


def paper_scale(found: dict[str, Any]) -> list[str]:
    """Speed of the `paper` configuration."""
    return ["```json", *_plain(found), "```"]


def _plain(found: dict[str, Any]) -> list[str]:
    import json

    head = ("command", "date", "machine", "versions", "commit")
    return json.dumps({key: value for key, value in found.items() if key not in head}, indent=2).splitlines()


if __name__ == "__main__":
    main()
