"""Text networks of Hugging Face's transformers, small and with random weights."""

from __future__ import annotations

from typing import Any

import torch
from catalog import Inputs, Network, random_integers, seeded
from torch import nn

VOCABULARY = 100
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
FREE = {"input_ids": {0: "batch", 1: "length"}, "attention_mask": {0: "batch", 1: "length"}}
CHECKS = ({"batch": 2, "length": 7}, {"batch": 1, "length": 16}, {"batch": 3, "length": 7})


def from_config(kind: str, **options: Any) -> nn.Module:
    """The base model of a kind (bert, gpt2 …) with random weights."""
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(kind, **options)
    return seeded(lambda: AutoModel.from_config(config))


def tokens(batch: int, length: int) -> Inputs:
    """Ids and a mask whose rows end at other places."""
    ids = random_integers(VOCABULARY, batch, length, seed=length)
    mask = (torch.arange(length) < length - torch.arange(batch)[:, None] % 3).long()
    return {"input_ids": ids, "attention_mask": mask}


NETWORKS = [
    Network("bert", lambda: from_config("bert", **SMALL), tokens, FREE, CHECKS),
]
