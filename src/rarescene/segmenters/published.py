"""Weights that were learned on other pictures, as transformers publishes them: in a folder, or on the hub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel
from transformers.utils import logging

from rarescene.foundation.console import say_once
from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.training.ranks import is_main_process

_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_REMEDY = (
    "Give a folder that transformers' `save_pretrained` wrote, or, where the hub can be reached, a name on "
    "it; `hf download NAME --local-dir FOLDER` makes a folder for a machine that cannot reach it."
)


class Kind(NamedTuple):
    """A kind of published network.

    Attributes:
        opened_as: the library's class for it.
        place: where its weights stand in the network that takes them, a prefix of their names.
    """

    opened_as: type[PreTrainedModel]
    place: str = ""


def take_published(
    network: PreTrainedModel,
    source: str,
    kinds: Mapping[str, Kind],
    *,
    size: Sequence[str],
    backbone: str,
    head: str,
) -> None:
    """Give a network the published weights that fit it by name and shape; its others stay as they are.

    Args:
        network: what takes them.
        source: a folder that `save_pretrained` wrote, or a name on the hub.
        kinds: what may lie there, by the library's word for it.
        size: fields of the backbone's configuration that must be equal.
        backbone: a regular expression for the names of those weights that must all be there.
        head: a prefix of the names of the last layer, which is not taken: its classes are those of other
            data.

    Raises:
        CheckpointError: the weights cannot be had, are damaged, or are not those of a whole backbone.
        ConfigError: they are those of another network, or of one of another size.
    """
    config, learned = _opened(source, kinds)
    differs = [
        f"{field} {theirs} where this one has {ours}"
        for field in size
        if (theirs := _plain(config, field)) != (ours := _plain(network.config, field))
    ]
    if differs:
        what = f"the pretrained {source!r} has another size: {'; '.join(differs)}"
        raise ConfigError(what, "Choose another --model.size, or the weights of a network of this size.")
    own = network.state_dict()
    fits = {
        name: weight
        for name, weight in learned.items()
        if name in own and own[name].shape == weight.shape and not name.startswith(head)
    }
    if lacks := [name for name in own if re.match(backbone, name) and name not in fits]:
        what = f"lacks {len(lacks)} weights of the backbone, {lacks[0]} the first"
        raise CheckpointError(what, _REMEDY, source)
    network.load_state_dict(fits, strict=False)
    if is_main_process():
        say_once(f"{len(fits)} of {len(own)} tensors start from {source}; the others are new")


def _opened(source: str, kinds: Mapping[str, Kind]) -> tuple[Any, dict[str, Tensor]]:
    """Return what lies there: its configuration, and the weights that it holds, under the taker's names."""
    if not Path(source).is_dir() and (Path(source).exists() or not _HUB_NAME.fullmatch(source)):
        raise CheckpointError("is neither a folder nor a name on the hub", _REMEDY, source)
    try:
        with _quiet():
            what = AutoConfig.from_pretrained(source).model_type
            if what not in kinds:
                remedy = f"Give weights of one of: {', '.join(kinds)}."
                raise ConfigError(f"the pretrained {source!r} is a {what!r}, which does not fit", remedy)
            kind = kinds[what]
            found: Any = kind.opened_as.from_pretrained(source, output_loading_info=True)
            network, report = found
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        why = (str(error).strip() or repr(error)).splitlines()[0]
        absent = "" if Path(source).is_dir() else "is no folder here, and "
        raise CheckpointError(f"{absent}cannot be opened as a network ({why})", _REMEDY, source) from error
    drawn = set(report["missing_keys"])  # by the library, for want of a weight
    weights = network.state_dict().items()
    return network.config, {kind.place + name: weight for name, weight in weights if name not in drawn}


def _plain(config: Any, field: str) -> Any:
    """Return a field of a network's configuration, or of that of its backbone, where it has one."""
    value = getattr(getattr(config, "backbone_config", None) or config, field, None)
    return list(value) if isinstance(value, tuple) else value


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from listing what it draws anew, and from drawing bars."""
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
