"""Text networks of Hugging Face's transformers, small and with random weights; one with its real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from catalog import Inputs, Network, random_floats, random_integers, seeded
from torch import nn
from torchvision_ops import torchvision_ops

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


def from_config(kind: str, chosen: Mapping[str, str] | None = None, /, **options: Any) -> nn.Module:
    """The base model of a kind (bert, gpt2 …) with random weights; ``chosen``: which of its implementations."""
    torchvision_ops()
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(kind, **options)
    return seeded(lambda: AutoModel.from_config(config, **(chosen or {})))


def tokens(batch: int, length: int) -> Inputs:
    """Ids and a mask whose rows end at other places."""
    ids = random_integers(VOCABULARY, batch, length, seed=length)
    mask = (torch.arange(length) < length - torch.arange(batch)[:, None] % 3).long()
    return {"input_ids": ids, "attention_mask": mask}


class DecodingStep(nn.Module):
    """A causal language model that takes keys and values of the tokens so far, and gives them back with the new ones.

    keys, values   [layers, batch, heads, past, channels]
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        from transformers import DynamicCache

        cache = DynamicCache()
        for layer in range(keys.shape[0]):
            cache.update(keys[layer], values[layer], layer)
        out = self.model(input_ids=input_ids, attention_mask=attention_mask, past_key_values=cache, use_cache=True)
        layers = out.past_key_values.layers
        return {
            "logits": out.logits,
            "keys": torch.stack([layer.keys for layer in layers]),
            "values": torch.stack([layer.values for layer in layers]),
        }


def decoding_step(kind: str, **options: Any) -> nn.Module:
    """One step of generating text, with its cache as inputs and outputs."""
    torchvision_ops()
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, **options)
    return DecodingStep(seeded(lambda: AutoModelForCausalLM.from_config(config))).eval()


def step(heads: int) -> Callable[..., Inputs]:
    """New tokens, and random keys and values of two layers of so many heads for those before."""

    def inputs(batch: int, past: int, length: int, total: int) -> Inputs:
        mask = (torch.arange(total) >= torch.arange(batch)[:, None] % 3).long()  # filled up at the left
        return {
            "input_ids": random_integers(VOCABULARY, batch, length, seed=length),
            "attention_mask": mask,
            "keys": random_floats(2, batch, heads, past, 8),
            "values": random_floats(2, batch, heads, past, 8, seed=1),
        }

    return inputs


def deepseek() -> nn.Module:
    """Latent attention and, in the second layer, two of four experts beside a shared one."""
    return from_config(
        "deepseek_v3",
        {"experts_implementation": "batched_mm"},
        **SMALL,
        use_cache=False,
        num_key_value_heads=4,
        q_lora_rank=8,
        kv_lora_rank=8,
        qk_nope_head_dim=8,
        qk_rope_head_dim=8,
        v_head_dim=8,
        first_k_dense_replace=1,
        n_routed_experts=4,
        num_experts_per_tok=2,
        n_group=1,
        topk_group=1,
        moe_intermediate_size=32,
    )


def t5_encoder() -> nn.Module:
    torchvision_ops()
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, use_cache=False)
    return seeded(lambda: T5EncoderModel(config))


def whisper_encoder() -> nn.Module:
    torchvision_ops()
    from transformers import WhisperConfig, WhisperModel

    config = WhisperConfig(
        vocab_size=VOCABULARY,
        num_mel_bins=8,
        d_model=32,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_layers=1,
        decoder_attention_heads=4,
        decoder_ffn_dim=64,
        max_source_positions=20,
        pad_token_id=0,
        use_cache=False,
    )
    return seeded(lambda: WhisperModel(config).encoder)


def sentence_encoder() -> nn.Module:
    from sentence_embedding import minilm

    return minilm()


STEP_FREE = {
    "input_ids": {0: "batch", 1: "length"},
    "attention_mask": {0: "batch", 1: "total"},
    "keys": {1: "batch", 3: "past"},
    "values": {1: "batch", 3: "past"},
}
STEP_CHECKS = (
    {"batch": 2, "past": 5, "length": 3, "total": 8},
    {"batch": 1, "past": 9, "length": 1, "total": 10},
    {"batch": 3, "past": 4, "length": 2, "total": 6},
)


NETWORKS = [
    Network("bert", lambda: from_config("bert", **SMALL), tokens, FREE, CHECKS, browser=True),
    Network(
        "distilbert",
        lambda: from_config("distilbert", vocab_size=VOCABULARY, dim=32, n_layers=2, n_heads=4, hidden_dim=64),
        tokens,
        FREE,
        CHECKS,
    ),
    Network("roberta", lambda: from_config("roberta", **SMALL), tokens, FREE, CHECKS),
    Network(
        "gpt2",
        lambda: from_config("gpt2", vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, use_cache=False),
        tokens,
        FREE,
        CHECKS,
    ),
    Network(
        "llama",
        lambda: from_config("llama", **SMALL, num_key_value_heads=2, use_cache=False),
        tokens,
        FREE,
        CHECKS,
    ),
    Network("deepseek-v3", deepseek, tokens, FREE, CHECKS),
    Network("t5-encoder", t5_encoder, tokens, FREE, CHECKS),
    Network(
        "mobilebert",
        lambda: from_config("mobilebert", **SMALL, embedding_size=16, true_hidden_size=16, intra_bottleneck_size=16),
        tokens,
        FREE,
        CHECKS,
    ),
    Network(
        "vit-encoder",
        lambda: from_config(
            "vit",
            image_size=32,
            patch_size=8,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
        ),
        lambda batch: {"pixel_values": random_floats(batch, 3, 32, 32)},
        {"pixel_values": {0: "batch"}},
    ),
    Network(
        "whisper-encoder",
        whisper_encoder,
        lambda batch: {"input_features": random_floats(batch, 8, 40)},
        {"input_features": {0: "batch"}},
    ),
    Network(
        "gpt2-step",
        lambda: decoding_step("gpt2", vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4),
        step(heads=4),
        STEP_FREE,
        STEP_CHECKS,
    ),
    Network(
        "llama-step",
        lambda: decoding_step("llama", **SMALL, num_key_value_heads=2),
        step(heads=2),
        STEP_FREE,
        STEP_CHECKS,
    ),
    Network("minilm", sentence_encoder, tokens, FREE, CHECKS),
]
