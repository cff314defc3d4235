"""What every generator must keep: of images, of maps, of pairs, and an autoencoder before one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rarescene.diffusion import SamplingConfig
from rarescene.foundation.errors import CheckpointError
from rarescene.foundation.files import read_json, write_json
from rarescene.foundation.methods import GeneratorMethod
from rarescene.foundation.protocols import Batch, ImageGenerator, Inserter, PairGenerator, Pairs
from rarescene.generators.loading import load_generator
from rarescene.generators.metadata import DESCRIPTION
from rarescene.scenes import SceneCache
from rarescene.testing.toys import IGNORE, TABLE, equal, moved_off_zero, toy_batch, toy_requests, toy_scenes
from rarescene.training import Learner, SceneBatches, TrainingConfig, fit
from rarescene.training.checkpoints import DIGEST

COUNT = 12
"""Training scenes."""
TRAINING = TrainingConfig(
    steps=6, batch_size=4, learning_rate=1e-3, mixed_precision="no", log_every=2, save_every=2, ema_decay=0.9
)
"""A training of six steps, which saves after each second one."""


@dataclass(frozen=True)
class Subject:
    """A generator under test.

    Attributes:
        method: its declaration.
        config: small options; by default its own.
        make: gives, of a configuration and of the training scenes, a generator whose output depends on
            everything; for a method that is declared without a `learner`.
        options: ways to sample, each the options of `generate`; by default what the generator's `sampling`
            makes of the defaults of the command line.
        exact: whether an output is the same to the bit, whatever is generated with it.
    """

    method: GeneratorMethod
    config: Any = None
    make: Callable[[Any, SceneCache], Any] | None = None
    options: Sequence[Mapping[str, Any]] = ()
    exact: bool = False

    @property
    def settings(self) -> Any:
        """The options to test with."""
        config = self.method.config() if self.config is None else self.config
        return replace(config, training=TRAINING)

    def learner(self) -> Learner:
        """Return what the loop trains, of twelve toy scenes."""
        assert self.method.learner is not None
        learner: Learner = self.method.learner.load().of_scenes(self.settings, self.scenes(), 0)
        return learner

    def scenes(self) -> SceneCache:
        """Return the training scenes."""
        return toy_scenes(COUNT, self.settings.height, self.settings.width)

    def batches(self) -> SceneBatches:
        """Return batches of them."""
        return SceneBatches(self.scenes().take, range(COUNT), TRAINING.batch_size, seed=1)

    def generator(self, **changes: Any) -> Any:
        """Return a generator whose output depends on everything, after changes of its options."""
        of = replace(self, config=replace(self.settings, **changes))
        if of.make is not None:
            return of.make(of.settings, of.scenes())
        learner: Any = of.learner()
        return learner.generator(moved_off_zero(learner.network))

    def ways(self, generator: Any) -> Sequence[Mapping[str, Any]]:
        """Return ways to sample from it."""
        if self.options or not hasattr(generator, "sampling"):
            return self.options or ({},)
        return (generator.sampling(SamplingConfig()),)

    def given(self, count: int = 3, generator: Any = None) -> Any:
        """Return what it generates from: masks, requests, or for an autoencoder what it encodes."""
        if self.method.generates in ("maps", "pairs"):
            return toy_requests()[:count]
        config = self.settings if generator is None else generator.config
        images, masks = toy_batch(count, config.height, config.width)
        return images if self.method.generates == "latents" and self.method.needs_images else masks

    def sample(self, generator: Any, given: Any, seeds: Sequence[int], **options: Any) -> list[Tensor]:
        """Return what comes of it: images, ids, confidence; or latents, and what is decoded from them."""
        if self.method.generates == "latents":
            latents = generator.encode(given)
            return [latents, generator.decode(latents)]
        found = generator.generate(given, seeds=seeds, **options)
        if isinstance(found, Pairs):
            found = [found.images, found.masks, *([] if found.confidence is None else [found.confidence])]
        return [found] if isinstance(found, Tensor) else list(found)


def fulfils_the_protocol(of: Subject) -> None:
    """It has what the commands ask of it: name, classes, options and a summary for its card."""
    generator = of.generator()
    assert generator.table == TABLE
    assert (generator.config.height, generator.config.width) == (of.settings.height, of.settings.width)
    if of.method.generates in ("images", "pairs"):
        assert generator.name == of.method.name
        assert isinstance(generator.sampling(SamplingConfig()), dict)
    assert of.method.learner is None or generator.summary.endswith(".")
    assert generator.to("cpu") is generator
    kinds: dict[str, type] = {"images": ImageGenerator, "pairs": PairGenerator}
    assert isinstance(generator, kinds.get(of.method.generates, object))


def what_it_generates_is_in_range(of: Subject) -> None:
    """Shapes, kinds and ranges are those of the protocol, also at sizes that no stride divides."""
    height, width = of.settings.height + 2, of.settings.width + 5
    generator = (
        of.generator(height=height, width=width) if of.method.generates != "latents" else of.generator()
    )
    if of.method.generates == "latents":
        height, width = of.settings.height, of.settings.width
    given = of.given(2, generator)
    found = of.sample(generator, given, [1, 2], **of.ways(generator)[0])
    if of.method.generates == "latents":
        side = height // generator.factor, width // generator.factor
        assert found[0].shape == (2, generator.channels, *side)
        assert found[1].shape == (2, 3 if of.method.needs_images else len(TABLE), height, width)
        return
    if of.method.generates != "maps":
        images, *found = found
        assert (images.dtype, images.shape) == (torch.float32, (2, 3, height, width))
        assert images.isfinite().all()
        assert images.abs().max() <= 1
    if of.method.generates != "images":
        masks, *sure = found
        assert (masks.dtype, masks.shape) == (torch.int64, (2, height, width))
        assert 0 <= masks.min() <= masks.max() < len(TABLE)
        for confidence in sure:
            assert confidence.shape == masks.shape
            assert 0 <= confidence.min() <= confidence.max() <= 1


def each_depends_on_its_request_and_seed_alone(of: Subject) -> None:
    """Whatever is generated with it, and in whatever order; equal blocks are equal to the bit.

    In other blocks floats may be rounded otherwise: images by a gray level or two, and few pixels of a mask
    may be of another class. Another seed gives something else, and so does another mask.
    """
    generator, given, seeds = of.generator(), of.given(), [5, 6, 7]
    for way in of.ways(generator):
        together = of.sample(generator, given, seeds, **way)
        assert equal(together, of.sample(generator, given, seeds, **way))
        parts = [of.sample(generator, given[i : i + 1], seeds[i : i + 1], **way) for i in range(3)]
        alone = [torch.cat(one) for one in zip(*parts, strict=True)]
        backwards = given.flip(0) if isinstance(given, Tensor) else given[::-1]
        turned = [part.flip(0) for part in of.sample(generator, backwards, seeds[::-1], **way)]
        for other in (alone, turned):
            _close(of, together, other)
        if of.method.generates != "latents":
            others = of.sample(generator, given, [8, 9, 10], **way)[0]
            assert (others - together[0]).abs().max() > 0.05
        if of.method.generates in ("images", "latents"):
            of_another = of.sample(generator, given[1:2], seeds[:1], **way)[0]
            assert (of_another - alone[0][:1]).abs().max() > 0.005


def _close(of: Subject, one: Sequence[Tensor], other: Sequence[Tensor]) -> None:
    """Compare what came of one block with what came of others."""
    if of.exact:
        assert equal(one, other)
    elif of.method.generates == "latents":
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    elif of.method.generates == "maps":
        assert (one[0] == other[0]).float().mean() > 0.99
        assert (one[1] - other[1]).abs().median() < 1e-3
    else:
        levels = 2 if of.method.generates == "images" else 1  # of 255, images being 2 wide
        assert (one[0] - other[0]).abs().max() <= 2 * levels / 255
        assert of.method.generates == "images" or (one[1] == other[1]).float().mean() > 0.999


def ignored_pixels_are_no_obstacle(of: Subject) -> None:
    """An image is generated for a mask in which pixels are not labelled; there it may show anything."""
    if of.method.generates == "images":
        generator, masks = of.generator(), of.given(1)
        masks[:, 8:] = IGNORE
        for way in of.ways(generator)[:1]:
            assert generator.generate(masks, seeds=[1], **way).isfinite().all()


def an_insertion_leaves_the_rest_of_a_frame_to_the_bit(of: Subject) -> None:
    """Of one that has an `insert`: beyond the region and its margin a frame stays as it was, to the bit.

    Within, it is drawn anew, in range, also at sizes that no stride divides; and no gradient is kept.
    """
    if not isinstance(of.generator(), Inserter):
        return
    generator = of.generator(height=of.settings.height + 2, width=of.settings.width + 5)
    frames = to_insert_into(3, generator.config.height, generator.config.width)
    images, regions = frames["images"], frames["regions"]
    for way in of.ways(generator):
        for margin, emphasis in ((0, 1.0), (2, 1.5)):
            found = generator.insert(**frames, seeds=[5, 6, 7], margin=margin, emphasis=emphasis, **way)
            assert (found.dtype, found.shape) == (torch.float32, images.shape)
            assert found.abs().max() <= 1
            assert not found.requires_grad
            assert not found.is_inference(), "autograd refuses inference tensors"
            reach = F.max_pool2d(regions[:, None].float(), 2 * margin + 1, stride=1, padding=margin)
            beyond = (reach == 0).expand_as(images)
            assert torch.equal(found[beyond], images[beyond])
            within = regions[:, None].expand_as(images)
            assert (found != images)[within].float().mean() > 0.5


def an_insertion_depends_on_its_frame_and_seed_alone(of: Subject) -> None:
    """Of one that has an `insert`: whatever is drawn with it, and in whatever order, as of `generate`.

    Another seed draws something else, and where images are generated for masks, so does another mask.
    """
    generator, seeds = of.generator(), [5, 6, 7]
    able = isinstance(generator, Inserter)
    if not able:
        return
    frames = to_insert_into(3, generator.config.height, generator.config.width)
    others = {**frames, "masks": frames["masks"].masked_fill(frames["regions"], 1)}
    for way in of.ways(generator):
        draw = partial(generator.insert, emphasis=1.5, **way)
        together = draw(**frames, seeds=seeds)
        assert torch.equal(together, draw(**frames, seeds=seeds))
        parts = [{name: part[i : i + 1] for name, part in frames.items()} for i in range(3)]
        alone = torch.cat([draw(**one, seeds=[seed]) for one, seed in zip(parts, seeds, strict=True)])
        backwards = {name: part.flip(0) for name, part in frames.items()}
        turned = draw(**backwards, seeds=seeds[::-1]).flip(0)
        for other in (alone, turned):
            assert (together - other).abs().max() <= 4 / 255  # two gray levels, images being 2 wide
        assert (draw(**frames, seeds=[8, 9, 10]) - together).abs().max() > 0.05
        if of.method.generates == "images":
            assert (draw(**others, seeds=seeds) - together).abs().max() > 0.005


def to_insert_into(count: int, height: int, width: int) -> dict[str, Tensor]:
    """Return the arguments of `insert`: toy scenes, into each of which a disc's class is to be drawn."""
    images, before = toy_batch(count, height, width)
    regions = torch.zeros(before.shape, dtype=torch.bool)
    for place, region in enumerate(regions):
        region[height // 4 + place : height // 2 + place, width // 4 : width // 2 + place] = True
    masks = before.masked_fill(regions, len(TABLE) - 1)
    return {"images": images, "masks": masks, "regions": regions, "before": before}


def a_plain_loop_learns_from_it(of: Subject) -> None:
    """What is generated takes part in a loss: autograd refuses inference tensors."""
    if of.method.generates in ("images", "pairs"):
        generator, given = of.generator(), of.given(2)
        found = of.sample(generator, given, [1, 2], **of.ways(generator)[0])
        can_be_learned_from(Pairs(*(found if of.method.generates == "pairs" else (found[0], given))))


def can_be_learned_from(pairs: Pairs) -> None:
    """Take a step of a loop that knows nothing of us."""
    torch.manual_seed(0)
    network = nn.Conv2d(3, len(TABLE), 3, padding=1)
    sure = torch.ones(1) if pairs.confidence is None else pairs.confidence
    loss = (F.cross_entropy(network(pairs.images), pairs.masks, reduction="none") * sure).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    assert network.weight.grad is not None
    assert network.weight.grad.abs().max() > 0


def comes_back_from_disk_with_equal_answers(of: Subject) -> None:
    """`load_generator` finds what `save` wrote by its name, and it generates the same, to the bit.

    The folder holds safetensors with their digests, and JSON, never a pickle.
    """
    generator = of.generator()
    with TemporaryDirectory() as name:
        folder = Path(name) / "a run, 50 %"
        generator.save(folder)
        loaded = load_generator(folder, of.method.generates)
        kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert type(loaded) is type(generator)
    assert (loaded.config, loaded.table) == (generator.config, generator.table)
    assert {".json", ".safetensors"} <= kinds <= {".json", ".safetensors", DIGEST}
    way, given = of.ways(generator)[0], of.given()
    one, two = (of.sample(made, given, [1, 2, 3], **way) for made in (generator, loaded))
    assert equal(one, two)


def damaged_and_foreign_files_are_named(of: Subject) -> None:
    """Half a file is a `CheckpointError` that names it, and so is the description of another method."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        of.generator().save(folder)
        for path in (path for path in sorted(folder.rglob("*")) if path.is_file()):
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            _refuses(of, folder, path.name)
            path.write_bytes(whole)
        described = read_json(folder / DESCRIPTION)
        write_json(folder / DESCRIPTION, described | {"generator": "another"})
        _refuses(of, folder, DESCRIPTION)


def _refuses(of: Subject, folder: Path, named: str) -> None:
    said = "read all the same"
    try:
        of.method.load(folder)
    except CheckpointError as error:
        said = str(error)
    assert named in said, f"{named} is damaged or of another method, and it was {said}"


def the_loss_of_a_scene_does_not_depend_on_its_batch(of: Subject) -> None:
    """The loss of a batch is the mean of those of its scenes, in every phase of the training.

    All that is random comes from the scenes' own seeds. An autoencoder may judge a batch as a whole.
    """
    if of.method.learner is not None and of.method.generates != "latents":
        for step in (0, TRAINING.steps - 1):
            learner = of.learner()
            moved_off_zero(learner.network)
            loss_is_the_mean_of_scenes(learner, of.batches()(0), step)


def loss_is_the_mean_of_scenes(learner: Learner, batch: Batch, step: int) -> None:
    """Compare the loss of a batch with those of its scenes."""
    alone = [
        learner(Batch(batch.images[i : i + 1], batch.masks[i : i + 1], batch.seeds[i : i + 1]), step)["loss"]
        for i in range(len(batch))
    ]
    torch.testing.assert_close(learner(batch, step)["loss"], torch.stack(alone).mean())


def a_killed_training_ends_with_the_same_weights(of: Subject) -> None:
    """Resumed from its last checkpoint, it ends with the weights and the log of one that was not killed."""
    if of.method.learner is not None:
        for last in (3, 5):
            killed_training_resumes(of.learner, of.batches(), TRAINING, last)


def killed_training_resumes(
    learner: Callable[[], Learner],
    batches: Callable[[int, int, int], Batch],
    training: TrainingConfig,
    last: int,
) -> None:
    """Kill a training in the step `last`, resume it, and compare it with an undisturbed one.

    Args:
        learner: makes a new learner.
        batches: gives the scenes of a step.
        training: its configuration, which saves before that step.
        last: the step in which it dies.
    """

    def dying(step: int, start: int, stop: int) -> Batch:
        if step == last:
            raise KeyboardInterrupt
        return batches(step, start, stop)

    with TemporaryDirectory() as name:
        whole = fit(learner(), batches, training, Path(name) / "whole", seed=0)
        try:
            fit(learner(), dying, training, Path(name) / "cut", seed=0)
        except KeyboardInterrupt:
            resumed = fit(learner(), batches, training, Path(name) / "cut", seed=0, resume=True)
    assert equal(whole.average, resumed.average), (
        "the weights differ: something random does not come from the seeds of a batch, or a sum is rounded "
        "otherwise at each run, as by indexing with a tensor (index_put, scatter) on several threads; "
        "torch.use_deterministic_algorithms(True) names or mends the latter"
    )
    for one, two in zip(whole.log, resumed.log, strict=True):
        assert _untimed(one) == _untimed(two)


def _untimed(line: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in line.items() if name != "scenes_per_second"}
