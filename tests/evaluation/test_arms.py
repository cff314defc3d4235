"""Which scored runs are seeds of one arm, and what arms are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarescene.evaluation.arms import Trained, arm_names
from rarescene.foundation.provenance import Provenance, Seen
from rarescene.foundation.run_record import RunRecord

CONFIG: Mapping[str, Any] = {
    "segmenter": "unet", "strategy": "offline", "model": {"widths": [8, 16]}, "height": 32, "width": 32,
    "training": {"steps": 400, "batch_size": 4, "log_every": 20}, "synthetic": "runs/a", "generator": None,
    "strategies": {"offline": {"probability": 0.5}},
}  # fmt: skip
DIGESTS = {"train": "aa", "synthetic 1": "11"}


def trained(
    changes: Mapping[str, Any] | None = None, digests: Mapping[str, str] = DIGESTS, label: str = ""
) -> Trained:
    config = {**CONFIG, **(changes or {})}
    origin = Provenance("phantom:", "p", 1, "recording", {}, {}, "", True, {}, Seen())
    record = RunRecord("segmenter", config, 0, origin, {}, decoded=digests)
    return Trained.of(label, config["strategy"], config["segmenter"], record)


def test_runs_that_differ_in_the_seed_alone_are_one_arm() -> None:
    assert arm_names([trained(), trained(), trained()]) == ["offline"] * 3
    rounding = {"training": {**CONFIG["training"], "log_every": 1}}
    assert arm_names([trained(), trained(rounding)]) == ["offline"] * 2


def test_another_set_is_another_arm_wherever_it_lies() -> None:
    other = {"synthetic": "elsewhere/b"}
    assert arm_names([trained(), trained(other, {"synthetic 1": "22"})]) == ["offline (a)", "offline (b)"]
    # The same pairs, moved or copied, are the same; other pairs under the same name are not.
    assert arm_names([trained(), trained(other)]) == ["offline"] * 2
    assert arm_names([trained(), trained(digests={"synthetic 1": "22"})]) == ["offline (a)", "offline (a) #2"]
    two = {"synthetic": "runs/a, runs/b"}
    both = trained(two, {"synthetic 1": "11", "synthetic 2": "22"})
    assert arm_names([trained(), both]) == ["offline (a)", "offline (a + b)"]


def test_an_option_that_differs_is_named_by_its_shortest_clear_name() -> None:
    longer = {"training": {**CONFIG["training"], "steps": 800}}
    assert arm_names([trained(), trained(longer)]) == ["offline (steps 400)", "offline (steps 800)"]
    more = {"strategies": {"offline": {"probability": 0.2}}}
    assert arm_names([trained(more), trained()]) == ["offline (probability 0.2)", "offline (probability 0.5)"]
    twice = {"strategies": {"offline": {"probability": 0.2}, "paste": {"probability": 0.3}}}
    assert arm_names([trained(twice), trained()]) == [
        "offline (strategies.offline.probability 0.2, strategies.paste.probability 0.3)",
        "offline (strategies.offline.probability 0.5, strategies.paste.probability none)",
    ]
    wide = {"model": {"widths": [16, 32]}}
    assert arm_names([trained(), trained(wide)]) == ["offline (widths 8/16)", "offline (widths 16/32)"]


def test_strategies_and_segmenters_need_no_brackets() -> None:
    none = trained({"strategy": "none", "synthetic": None, "strategies": {}}, {})
    assert arm_names([none, trained()]) == ["none", "offline"]
    phiseg = trained({"segmenter": "phiseg", "model": {"latents": 3}})
    assert arm_names([none, phiseg]) == ["unet none", "phiseg offline"]


def test_a_label_is_the_name_and_makes_one_arm_of_what_differs() -> None:
    other = trained({"synthetic": "b"}, {"synthetic 1": "22"}, "drawn")
    assert arm_names([trained(label="drawn"), other, trained()]) == ["drawn", "drawn", "offline"]
    # A label is never mixed up with a strategy of that name.
    assert arm_names([trained(label="offline"), trained()]) == ["offline", "offline #2"]


def test_scores_without_a_record_are_told_apart_by_strategy_and_segmenter() -> None:
    bare = Trained.of("", "none", "unet", None)
    assert arm_names([bare, bare, replace(bare, strategy="paste")]) == ["none", "none", "paste"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["none", "offline"]), st.sampled_from(["unet", "phiseg"]),
            st.sampled_from(["a", "x/a", "b"]), st.sampled_from(["11", "22"]),
            st.sampled_from(["", "offline", "k"]), st.sampled_from([0.2, 0.5]),
        ),
        min_size=1, max_size=7,
    )
)  # fmt: skip
def test_runs_have_one_name_if_and_only_if_they_are_of_one_arm(runs: list[tuple[Any, ...]]) -> None:
    made = [
        trained(
            {"strategy": strategy, "segmenter": segmenter, "synthetic": place, "width": share},
            {"synthetic 1": digest},
            label,
        )
        for strategy, segmenter, place, digest, label, share in runs
    ]
    names = arm_names(made)
    for one, name in zip(made, names, strict=True):
        for other, its in zip(made, names, strict=True):
            assert (name == its) == (one.arm == other.arm)


@pytest.mark.parametrize("kind", ["scored masks", "scene set"])
def test_only_segmenters_have_options(kind: str) -> None:
    origin = Provenance("phantom:", "p", 1, "recording", {}, {}, "", True, {}, Seen())
    record = RunRecord(kind, {"masks": "there"}, 0, origin, {})
    assert Trained.of("x", "none", "x", record).options == {}
