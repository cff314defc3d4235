"""GAUDA's loop: what it asks for, what it mixes in, and that a killed training sees the same."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import pytest
import torch

from rarescene.augmentation import (
    Classic,
    ClassicConfig,
    Composed,
    DrawingConfig,
    Gauda,
    GaudaConfig,
    SievingConfig,
)
from rarescene.augmentation.synthetic_batch import SyntheticBatch
from rarescene.augmentation.validation_uncertainty import class_uncertainties
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.foundation.protocols import Batch, Pairs, Strategy
from rarescene.foundation.seeds import derive_seed
from rarescene.scenes import ClassRequest, Request

from .toys import (
    HEIGHT,
    STEPS,
    TABLE,
    VALIDATION,
    WIDTH,
    OneAnswer,
    ToySegmenter,
    a_batch,
    ask,
    draw,
    same,
    saved,
    train,
)

SIZE, BLOCK = 10, 4
AT_ONCE = DrawingConfig(block=BLOCK)
BETWEEN = DrawingConfig("between_steps", ticks=3, block=BLOCK)
BESIDE = DrawingConfig("beside", join_after=4, block=BLOCK)
ALL = SievingConfig()
TARGET = SievingConfig("target", candidates=3.0)
AGREEING = SievingConfig("target", min_agreement=0.5, candidates=2.0)
WAYS = {
    "at refresh": (AT_ONCE, ALL),
    "at refresh, sieved": (AT_ONCE, TARGET),
    "between steps": (BETWEEN, ALL),
    "between steps, sieved": (BETWEEN, AGREEING),
    "beside": (BESIDE, TARGET),
}


def gauda(drawing: DrawingConfig = AT_ONCE, sieving: SievingConfig = ALL, **options: Any) -> Gauda:
    config = {"probability": 0.5, "classes": 2, "size": SIZE, "samples": 3, "patience": 2} | options
    settings = GaudaConfig(drawing=drawing, sieving=sieving, **config)  # type: ignore[arg-type]
    return Gauda(settings, TABLE, ask, draw, predict=ToySegmenter().predict)


def told(number: int, count: int = SIZE) -> list[int]:
    """Return the seeds of a refresh's first round."""
    return [derive_seed(0, "pair", number, 0, place) for place in range(count)]


# What is asked for, and drawn


def test_until_the_first_refresh_nothing_is_changed() -> None:
    batch = a_batch(0, 3)
    assert gauda().mix(batch) is batch


def test_the_batch_shows_the_most_uncertain_classes_each_as_often() -> None:
    strategy = gauda(classes=2)
    decided = strategy.refresh(ToySegmenter(stage=0), VALIDATION)  # class 4 is noisiest, then 3
    values = class_uncertainties(
        ToySegmenter(0), VALIDATION, TABLE, 3, "variance", derive_seed(0, "posterior", 0)
    )
    most = sorted(range(5), key=lambda c: -values[c])[:2]  # type: ignore[operator]
    assert decided["classes"] == [TABLE.names[c] for c in most]
    assert decided["lead"] == dict(zip(TABLE.names, values, strict=True))
    targets = [most[place % 2] for place in range(SIZE)]
    requests = [ask(c, seed) for c, seed in zip(targets, told(1), strict=True)]
    assert decided["requests"] == dict(Counter(request.to_text(TABLE) for request in requests))
    expected = SyntheticBatch.of(draw(requests, told(1))).pairs
    assert strategy.synthetic is not None
    assert torch.equal(strategy.synthetic.masks, expected.masks)
    assert torch.equal(strategy.synthetic.images, expected.images)
    assert (decided["drawn"], decided["kept"], decided["dropped"]) == (SIZE, SIZE, {})


@pytest.mark.parametrize("labelled", [False, True])
def test_a_class_that_is_never_predicted_is_asked_for_within_the_bound(labelled: bool) -> None:
    """A simulated run: no sample has class 2, and the others stay uncertain.

    Unlabelled it has no uncertainty; labelled it has 0, since all samples agree that it is something else.
    """

    class Blind(ToySegmenter):
        def posterior(self, images: torch.Tensor, samples: int) -> torch.Tensor:
            logits = torch.randn(samples, len(images), 5, HEIGHT, WIDTH)
            logits[:, :, 2] = -math.inf
            return logits.softmax(2)

    before, after = (1, 2) if labelled else (2, 0)
    scenes = [
        Batch(one.images, one.masks.masked_fill(one.masks == before, after), one.seeds) for one in VALIDATION
    ]
    strategy = gauda(classes=1, patience=4)
    assert strategy.selection.bound == 4 + 5
    refreshes = [strategy.refresh(Blind(), scenes) for _ in range(3 * strategy.selection.bound)]
    assert {decided["lead"]["class 2"] for decided in refreshes} == ({0.0} if labelled else {None})
    had = [index for index, decided in enumerate(refreshes) if "class 2" in decided["classes"]]
    assert {refreshes[index]["why"]["class 2"] for index in had} == {"waited"}
    assert len(had) > 2
    assert max(b - a for a, b in pairwise([-1, *had])) <= strategy.selection.bound


def test_an_excluded_class_is_never_asked_for() -> None:
    strategy = gauda(classes=3, exclude=(0, 4))
    for _ in range(8):
        decided = strategy.refresh(ToySegmenter(), VALIDATION)
        assert not {"class 0", "class 4"} & set(decided["classes"])
        assert set(decided["staleness"]) == {"class 1", "class 2", "class 3"}


def test_no_more_classes_are_chosen_than_there_are_pairs_to_draw() -> None:
    strategy = gauda(classes=3, size=2)
    decided = strategy.refresh(ToySegmenter(stage=0), VALIDATION)
    assert decided["classes"] == ["class 4", "class 3"]
    waited = strategy.refresh(ToySegmenter(stage=0), VALIDATION)["staleness"]
    assert [name for name, refreshes in waited.items() if refreshes] == ["class 0", "class 1", "class 2"]


def test_a_synthetic_batch_is_replaced_at_the_next_refresh() -> None:
    strategy, seen = gauda(), []
    for refresh in range(3):
        strategy.refresh(ToySegmenter(refresh), VALIDATION)
        assert strategy.synthetic is not None
        seen.append(strategy.synthetic.images)
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_a_refresh_leaves_the_loop_s_random_numbers_alone_and_does_not_depend_on_them() -> None:
    decided = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        decided.append(gauda().refresh(ToySegmenter(), VALIDATION)["lead"])
        assert torch.equal(torch.get_rng_state(), before)
    assert decided[0] == decided[1]


# What is mixed in


def test_a_scene_is_replaced_with_the_probability_asked_for_and_by_each_pair_alike() -> None:
    strategy = gauda(probability=0.25)
    strategy.refresh(ToySegmenter(), VALIDATION)
    assert strategy.synthetic is not None
    batch = Batch(torch.zeros(4000, 3, HEIGHT, WIDTH), torch.full((4000, HEIGHT, WIDTH), 255), range(4000))
    mixed = strategy.mix(batch)
    replaced = (mixed.masks != 255).all(dim=(1, 2))
    assert torch.equal(replaced, (mixed.masks != 255).any(dim=2).any(dim=1))
    assert replaced.float().mean().item() == pytest.approx(0.25, abs=0.03)
    places = {image.numpy().tobytes(): place for place, image in enumerate(strategy.synthetic.images)}
    chosen = Counter(places[image.numpy().tobytes()] for image in mixed.images[replaced])
    assert sorted(chosen) == list(range(SIZE))
    assert max(chosen.values()) < 2 * min(chosen.values())


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_none_or_all_may_be_replaced(probability: float) -> None:
    strategy = gauda(probability=probability)
    strategy.refresh(ToySegmenter(), VALIDATION)
    batch = a_batch(0, 3)
    mixed = strategy.mix(batch)
    changed = [not torch.equal(*images) for images in zip(mixed.images, batch.images, strict=True)]
    assert changed == [probability == 1] * 3


def test_image_and_mask_are_of_one_pair_and_a_scene_depends_on_its_own_seed() -> None:
    strategy = gauda()
    strategy.refresh(ToySegmenter(), VALIDATION)
    assert strategy.synthetic is not None
    batch = a_batch(0, 8)
    mixed = strategy.mix(batch)
    for place in range(8):
        alone = strategy.mix(
            Batch(batch.images[place : place + 1], batch.masks[place : place + 1], [batch.seeds[place]])
        )
        assert torch.equal(alone.images[0], mixed.images[place])
        assert torch.equal(alone.masks[0], mixed.masks[place])
        of_pair = [
            torch.equal(mixed.images[place], image) and torch.equal(mixed.masks[place], mask)
            for image, mask in zip(strategy.synthetic.images, strategy.synthetic.masks, strict=True)
        ]
        real = torch.equal(mixed.images[place], batch.images[place])
        assert sum(of_pair) + real == 1


def test_pairs_of_another_size_are_told_of() -> None:
    strategy = gauda()
    strategy.refresh(ToySegmenter(), VALIDATION)
    with pytest.raises(ConfigError, match="8×6, those of the batch 16×12"):
        strategy.mix(Batch(torch.zeros(1, 3, 12, 16), torch.zeros(1, 12, 16, dtype=torch.long), [0]))


# What is dropped on the way


def test_dropped_pairs_are_drawn_again_for_the_same_class_until_the_batch_is_full() -> None:
    strategy = gauda(sieving=SievingConfig("target", candidates=20.0), exclude=(4,))
    decided = strategy.refresh(ToySegmenter(), VALIDATION)
    assert strategy.synthetic is not None
    shown = Counter(strategy.synthetic.masks[:, 0, 0].tolist())
    assert set(shown.values()) == {SIZE // 2}  # two classes in turn, and never the 4 of a broken pair
    assert 4 not in shown
    assert decided["kept"] == SIZE
    assert decided["drawn"] == SIZE + decided["dropped"]["request"] > SIZE


def test_a_batch_may_stay_smaller() -> None:
    strategy = gauda(sieving=SievingConfig("target", candidates=1.0), exclude=(4,))
    decided = strategy.refresh(ToySegmenter(), VALIDATION)
    assert decided["drawn"] == SIZE
    assert decided["kept"] == SIZE - decided["dropped"]["request"] < SIZE
    assert strategy.synthetic is not None
    assert len(strategy.synthetic) == decided["kept"]


@pytest.mark.parametrize("agreement_of", ["others", "target"])
def test_agreement_is_of_every_class_but_the_one_drawn_for_or_of_that_one(
    agreement_of: Literal["others", "target"],
) -> None:
    """Half of a picture is right in one pair of two; the other, which counts for nothing, is never right."""
    of_mask, counts = (3, 0) if agreement_of == "others" else (0, 3)

    def two_classes(requests: Sequence[Request], seeds: Sequence[int], progress: Any = None) -> Pairs:
        masks = torch.full((len(seeds), HEIGHT, WIDTH), of_mask)
        masks[:, : HEIGHT // 2] = counts
        images = torch.zeros(len(seeds), 3, HEIGHT, WIDTH)  # red 0 is read as class 2
        for place, seed in enumerate(seeds):
            if seed % 2:
                images[place, 0, : HEIGHT // 2] = (counts + 0.5) / 2.5 - 1  # read as the class that counts
        return Pairs(images, masks)

    config = GaudaConfig(
        probability=1.0, classes=1, size=SIZE, exclude=(0, 1, 2, 4), drawing=AT_ONCE,  # the target is 3
        sieving=SievingConfig(min_agreement=0.9, agreement_of=agreement_of, candidates=1.0),
    )  # fmt: skip
    strategy = Gauda(config, TABLE, ask, two_classes)
    decided = strategy.refresh(ToySegmenter(), VALIDATION)
    assert decided["kept"] == sum(seed % 2 for seed in told(1))
    assert decided["dropped"] == {"agreement": SIZE - decided["kept"]}


@pytest.mark.parametrize("candidates", [1.0, 1.33, 2.0, 3.5])
def test_where_nothing_is_kept_nothing_is_mixed_in_and_no_more_than_the_candidates_are_drawn(
    candidates: float,
) -> None:
    def ask(class_id: int, seed: int) -> Request:
        return Request(
            (ClassRequest(class_id, count=3),)
        )  # three pieces, which a mask of one class never has

    config = GaudaConfig(size=SIZE, drawing=AT_ONCE, sieving=SievingConfig("kept", candidates=candidates))
    strategy = Gauda(config, TABLE, ask, draw)
    decided = strategy.refresh(ToySegmenter(), VALIDATION)
    assert (decided["kept"], decided["drawn"]) == (0, math.ceil(candidates * SIZE))
    assert strategy.synthetic is None
    batch = a_batch(0, 3)
    assert strategy.mix(batch) is batch


# In the background


@pytest.mark.parametrize("ticks", [1, 3, 7, 21, 100])
def test_a_batch_drawn_between_steps_is_taken_up_at_the_step_its_length_decides(ticks: int) -> None:
    at_once = gauda(probability=1.0)
    at_once.refresh(ToySegmenter(), VALIDATION)
    strategy = gauda(DrawingConfig("between_steps", ticks=ticks, block=BLOCK), probability=1.0)
    strategy.refresh(ToySegmenter(), VALIDATION)
    steps = STEPS * math.ceil(SIZE / BLOCK) // ticks + 1
    for step in range(steps + 3):
        batch = a_batch(step, 3)
        mixed = strategy.mix(batch)
        expected = batch if step + 1 < steps else at_once.mix(batch)
        assert same([mixed], [expected])
    decided = strategy.refresh(ToySegmenter(), VALIDATION)
    assert (decided["drawn"], decided["step_ticks"]) == (SIZE, ticks)
    assert decided["pause"] > 0
    strategy.close()


def test_pairs_held_to_an_agreement_are_judged_a_block_a_step() -> None:
    asked: list[int] = []

    def predict(images: torch.Tensor) -> torch.Tensor:
        asked.append(len(images))
        return ToySegmenter().predict(images)

    options = GaudaConfig(
        classes=2, size=SIZE, samples=2, drawing=DrawingConfig("between_steps", ticks=100, block=BLOCK),
        sieving=SievingConfig(min_agreement=0.0),
    )  # fmt: skip
    strategy = Gauda(options, TABLE, ask, draw, predict=predict)
    strategy.refresh(ToySegmenter(), VALIDATION)
    judged = []
    for step in range(5):
        strategy.mix(a_batch(step, 1))
        judged.append(list(asked))
        asked.clear()
    assert judged == [[], [4], [4], [2], []]  # at the first step all is drawn
    assert strategy.since_refresh["kept"] == SIZE


def test_a_batch_drawn_beside_is_joined_at_its_step() -> None:
    strategy = gauda(BESIDE, probability=1.0)
    strategy.refresh(ToySegmenter(), VALIDATION)
    changed = [not same([strategy.mix(a_batch(step, 1))], [a_batch(step, 1)]) for step in range(6)]
    assert changed == [False] * 3 + [True] * 3


def test_the_old_batch_stays_until_the_new_one_is_whole() -> None:
    strategy = gauda(BETWEEN, probability=1.0)
    train(strategy, 0, 1, 1, every=1)
    train(strategy, 1, 12, 1, every=100)
    assert strategy.synthetic is not None
    first = strategy.synthetic.images
    strategy.refresh(ToySegmenter(3), VALIDATION)
    for step in range(7):
        strategy.mix(a_batch(step, 1))
        assert torch.equal(strategy.synthetic.images, first)
    strategy.mix(a_batch(7, 1))
    assert not torch.equal(strategy.synthetic.images, first)
    strategy.close()


def test_a_refresh_that_comes_too_early_asks_for_nothing() -> None:
    strategy = gauda(DrawingConfig("between_steps", ticks=1, block=BLOCK))
    decided = [strategy.refresh(ToySegmenter(), VALIDATION) for _ in range(2)]
    assert [one["waiting"] for one in decided] == [False, True]
    assert decided[1]["classes"] == []
    assert decided[1]["requests"] == {}
    assert None not in decided[1]["lead"].values()
    assert strategy.refreshes == 1
    strategy.close()


def test_the_ticks_are_derived_once_and_kept_in_the_state() -> None:
    strategy = gauda(DrawingConfig("between_steps", budget=1e-9, block=BLOCK))
    assert strategy.refresh(ToySegmenter(), VALIDATION)["step_ticks"] == 1  # no step is that short
    resumed = gauda(DrawingConfig("between_steps", budget=1e-9, block=BLOCK))
    resumed.load_state_dict(saved(strategy))
    assert resumed.ticks == 1
    # One block, 7 of 21 denoising steps, was drawn at the refresh to measure them.
    for strategy_ in (strategy, resumed):
        changed = [not same([strategy_.mix(a_batch(s, 8))], [a_batch(s, 8)]) for s in range(17)]
        assert changed == [False] * 14 + [True] * 3
        strategy_.close()


@pytest.mark.parametrize("when", ["between_steps", "beside"])
def test_a_drawing_that_fails_stops_the_training_with_its_own_error(when: Any) -> None:
    def broken(requests: Sequence[Request], seeds: Sequence[int], progress: Any = None) -> Pairs:
        progress(1, 2)
        raise ArithmeticError("no memory for a pair")

    config = GaudaConfig(size=4, classes=2, drawing=DrawingConfig(when, ticks=1, join_after=2))
    strategy = Gauda(config, TABLE, ask, broken)
    strategy.refresh(ToySegmenter(), VALIDATION)
    with pytest.raises(ArithmeticError, match="no memory for a pair"):
        train(strategy, 0, 5, 2, every=100)
    strategy.close()


def test_closing_ends_the_thread() -> None:
    before = set(threading.enumerate())
    strategy = gauda(BETWEEN)
    strategy.refresh(ToySegmenter(), VALIDATION)
    assert len(set(threading.enumerate()) - before) == 1
    strategy.close()
    assert set(threading.enumerate()) <= before


# Killed and resumed


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("way", WAYS)
def test_a_training_killed_anywhere_and_resumed_sees_the_same_batches(way: str, size: int) -> None:
    steps, every = 40, 13
    undisturbed = gauda(*WAYS[way])
    whole = train(undisturbed, 0, steps, size, every)
    undisturbed.close()
    assert not same(whole, [a_batch(step, size) for step in range(steps)])
    killed = gauda(*WAYS[way])
    under_way = 0
    for stop in range(1, steps):
        train(killed, stop - 1, stop, size, every)
        state = saved(killed)
        under_way += state["synthesis"] is not None
        resumed = gauda(*WAYS[way])
        resumed.load_state_dict(state)
        # A few steps after it, and over the next refresh.
        until = min(steps, stop + 16)
        assert same(train(resumed, stop, until, size, every), whole[stop:until]), stop
        resumed.close()
    killed.close()
    assert (under_way > 0) == (WAYS[way][0] is not AT_ONCE)


@pytest.mark.parametrize("steps", range(0, 9, 2))
@pytest.mark.parametrize("sieving", [ALL, AGREEING])
@pytest.mark.parametrize("beside_first", [True, False])
def test_what_was_begun_beside_goes_on_between_the_steps_and_the_reverse(
    beside_first: bool, sieving: SievingConfig, steps: int
) -> None:
    ways = [BESIDE, replace(BESIDE, when="between_steps")]
    first, second = (gauda(way, sieving) for way in (ways if beside_first else ways[::-1]))
    first.refresh(ToySegmenter(), VALIDATION)
    train(first, 0, steps, 1, every=100)
    second.load_state_dict(saved(first))
    train(second, steps, steps + 40, 1, every=100)
    train(first, steps, steps + 40, 1, every=100)
    assert first.synthetic is not None
    assert second.synthetic is not None
    assert torch.equal(second.synthetic.images, first.synthetic.images)
    with pytest.raises(CheckpointError, match="was started with"):
        gauda(AT_ONCE).load_state_dict(saved(first))
    first.close()
    second.close()


def test_a_run_is_not_resumed_with_other_options() -> None:
    strategy = gauda()
    gauda().load_state_dict(saved(strategy))
    with pytest.raises(CheckpointError, match="was started with"):
        gauda(probability=0.3).load_state_dict(saved(strategy))


# On several ranks


@pytest.mark.parametrize("longer", [0, 5, 50])
def test_rank_0_decides(longer: int) -> None:
    """The other rank sees another posterior, draws other pixels for longer, and trains on rank 0's pairs."""
    told_by_rank_0: list[Any] = []
    config = GaudaConfig(probability=1.0, classes=2, size=4, samples=2, drawing=BETWEEN, sieving=TARGET)

    def tell(value: Any) -> Any:
        told_by_rank_0.append(value)
        return value

    def other_draw(requests: Sequence[Request], seeds: Sequence[int], progress: Any = None) -> Pairs:
        for step in range(longer):
            progress(step, longer)
        pairs = draw(requests, seeds, progress)
        return Pairs(pairs.images * 0.5, pairs.masks.flip(0))

    first = Gauda(config, TABLE, ask, draw, agree=tell)
    first.refresh(ToySegmenter(0), VALIDATION)
    ours = train(first, 0, 10, 2, every=100)
    answers = iter(told_by_rank_0)
    second = Gauda(config, TABLE, ask, other_draw, agree=lambda value: next(answers))
    second.refresh(ToySegmenter(3), VALIDATION)
    assert same(train(second, 0, 10, 2, every=100), ours)
    assert next(answers, None) is None
    for strategy in (first, second):
        assert strategy.synthetic is not None
        strategy.close()


# What cannot be


def test_a_segmenter_of_one_answer_is_refused() -> None:
    with pytest.raises(ConfigError, match="OneAnswer gives one answer") as told_error:
        gauda().refresh(OneAnswer(), VALIDATION)
    assert "phiseg, unet-ensemble" in told_error.value.remedy


def test_a_validation_is_needed() -> None:
    with pytest.raises(ConfigError, match="no validation scene"):
        gauda().refresh(ToySegmenter(), [])


def test_a_class_that_cannot_be_asked_for_must_be_excluded() -> None:
    with pytest.raises(ConfigError, match="'class 0' does not name the class") as told_error:
        Gauda(GaudaConfig(), TABLE, lambda class_id, seed: Request((ClassRequest(1),)), draw)
    assert "exclude" in told_error.value.remedy


@pytest.mark.parametrize(
    ("class_id", "words"), [(-1, "exclude is -1"), (5, "names 5, and there are 5 classes")]
)
def test_a_class_that_there_is_not_cannot_be_excluded(class_id: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        gauda(exclude=(0, class_id))


def test_pairs_of_the_background_need_someone_to_judge_them() -> None:
    with pytest.raises(ConfigError, match="nothing can tell it"):
        Gauda(GaudaConfig(drawing=BETWEEN, sieving=AGREEING), TABLE, ask, draw)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GaudaConfig(probability=1.5), lambda: GaudaConfig(classes=0), lambda: GaudaConfig(size=0),
        lambda: GaudaConfig(samples=1), lambda: GaudaConfig(patience=0), lambda: DrawingConfig(budget=0.0),
        lambda: DrawingConfig(ticks=0), lambda: DrawingConfig(block=0), lambda: SievingConfig(candidates=0.5),
        lambda: SievingConfig(min_agreement=2.0),
    ],
)  # fmt: skip
def test_impossible_options_are_refused(make: Any) -> None:
    with pytest.raises(ConfigError, match=" is "):
        make()


def test_the_constants_are_the_paper_s() -> None:
    config = GaudaConfig()
    assert (config.probability, config.classes, config.measure, config.size) == (0.25, 5, "variance", 100)
    assert (config.drawing.when, config.sieving.request, config.sieving.min_agreement) == (
        "at_refresh",
        "no",
        None,
    )


def test_what_a_refresh_says_is_json() -> None:
    for drawing, sieving in WAYS.values():
        strategy: Strategy = gauda(drawing, sieving)
        for stage in range(3):
            decided = strategy.refresh(ToySegmenter(stage), VALIDATION)
            assert json.loads(json.dumps(decided, allow_nan=False)) == decided
            train(strategy, 0, 20, 1, every=100)
        strategy.close()


def test_classic_changes_what_gauda_mixed_in() -> None:
    alone = gauda(probability=1.0)
    composed = Composed(
        {"gauda": gauda(probability=1.0), "classic": Classic(ClassicConfig(1.0, 0.0, 0.0, crop=0.0))}
    )
    for strategy in (alone, composed):
        strategy.refresh(ToySegmenter(), VALIDATION)
    batch = a_batch(0, 3)
    assert torch.equal(composed.mix(batch).images, alone.mix(batch).images.flip(-1))
    assert torch.equal(composed.mix(batch).masks, alone.mix(batch).masks.flip(-1))
