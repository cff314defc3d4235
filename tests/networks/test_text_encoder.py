"""Text encoders: CLIP from a folder, the embedded one, and what is said where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel

from rarescene.foundation.errors import CheckpointError, ConfigError
from rarescene.networks import EMBEDDED, TextEncoder

PROMPTS = ["one grasper in the upper left", "two livers", "blood"]


def write_clip(folder: Path, seed: int = 0) -> Path:
    """A CLIP text encoder of 16 channels with random weights, whose tokens are letters."""
    folder.mkdir(parents=True)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"model_max_length": 40, "tokenizer_class": "CLIPTokenizer"})
    )
    torch.manual_seed(seed)
    end = len(tokens) - 1
    config = CLIPTextConfig(
        vocab_size=len(tokens), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=40, bos_token_id=end - 1, eos_token_id=end,
        pad_token_id=end,
    )  # fmt: skip
    CLIPTextModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("which", ["clip", "embedded"])
def test_a_prompt_is_encoded_by_itself(which: str, tmp_path: Path) -> None:
    encoder = TextEncoder.open(EMBEDDED if which == "embedded" else str(write_clip(tmp_path / "clip")))
    together = encoder.encode(PROMPTS)
    assert together.shape == (3, encoder.width)
    alone = torch.cat([encoder.encode([prompt]) for prompt in PROMPTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert min(float((together[a] - together[b]).norm()) for a, b in ((0, 1), (0, 2), (1, 2))) > 0.01
    assert not together.is_inference()  # networks learn from it
    assert all(not weight.requires_grad for weight in encoder.model.parameters())
    assert encoder.encode([]).shape == (0, encoder.width)


def test_clip_embeddings_are_those_of_its_end_of_text_token(tmp_path: Path) -> None:
    encoder = TextEncoder.open(str(write_clip(tmp_path / "clip")))
    ids = encoder.tokenizer(PROMPTS[0], return_tensors="pt")["input_ids"]
    states = encoder.model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(encoder.encode(PROMPTS[:1])[0], states[0, -1])
    assert ids[0, -1] == encoder.model.config.eos_token_id  # type: ignore[union-attr]


def test_the_embedded_encoder_knows_what_words_mean() -> None:
    vectors = TextEncoder.open(EMBEDDED).encode(["a surgical instrument", "a grasper", "a bank account"])
    np.testing.assert_allclose(vectors.norm(dim=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[1] @ vectors[2]


def test_other_weights_have_another_fingerprint(tmp_path: Path) -> None:
    one, same, other = (
        TextEncoder.open(str(write_clip(tmp_path / name, seed))).fingerprint
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert one == same != other


def test_an_encoder_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="cannot be opened"):
        TextEncoder.open(str(tmp_path))
    damaged = write_clip(tmp_path / "clip")
    (damaged / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be opened"):
        TextEncoder.open(str(damaged))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"rarescene\[text\]"):
        TextEncoder.open(EMBEDDED)
