"""Why an ATen op has no meaning in a graph, for those of which there is more to say, and what to write instead."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Reason:
    """What keeps a family of ops out of graphs.

    names   a regular expression over the names of ops, without ``aten::`` and without overload
    """

    names: str
    because: str
    help: str
    code: str = "TP202"


_REASONS = (
    Reason(
        r"nonzero(_numpy)?|argwhere|_?unique\w*|masked_select|where\.default|bincount|repeat_interleave\.Tensor",
        "how many cells its result has depends on the values of its input",
        "keep the shape: torch.where(mask, x, 0), topk with a fixed k, sort, or a mask as a further output",
        "TP206",
    ),
    Reason(
        r"item|_local_scalar_dense|equal|is_nonzero",
        "it makes a Python number of a tensor's value, which is known only when the graph runs",
        "leave out .item(): tensors compute with tensors",
        "TP206",
    ),
    Reason(
        r"(rand|randn|randint|randperm|normal|bernoulli|multinomial|poisson|uniform|exponential|rrelu_with_noise)"
        r"(_like|_functional)?",
        "it draws random numbers, and all ports have to answer the same",
        "make the random tensor an input of the model, or draw only in training: if self.training:",
    ),
    Reason(
        r"_?fft\w*|istft",
        "it computes with complex numbers, which no port has, in a way that is not written with real ones here",
        "use torch.stft or torch.fft.fft, rfft, ifft or irfft over axes of fixed length, or write it with real numbers",
    ),
    Reason(
        r"_?linalg_\w+|svd|_?cholesky\w*|inverse|det|logdet|matrix_exp|qr|eig\w*|lu_\w+|triangular_solve",
        "it factorises a matrix step by step, which no port has a kernel for",
        "if the matrix is a weight, compute the result once and keep it: self.register_buffer(name, result), or "
        "torch.nn.utils.parametrize.remove_parametrizations for a parametrized weight",
    ),
    Reason(
        r"histc|_?grouped_mm\w*",
        "it counts or sorts by values, as a mixture of experts does with its tokens",
        "a model of transformers: from_pretrained(..., experts_implementation='batched_mm'); elsewhere run "
        "every expert and add the answers up with weights",
    ),
    Reason(
        r"quantize_per\w+|dequantize|fake_quantize\w+|_fake_quant\w+",
        "quantization is applied to the finished graph",
        "capture the float model; quantize afterwards",
    ),
    Reason(
        r"cond|while_loop|scan|map_impl|associative_scan|flex_attention",
        "it runs programs of its own, and a graph is one sequence of steps",
        "compute both sides and choose: torch.where(condition, a, b); write a loop of fixed length in Python",
    ),
)


def reason_against(op: torch._ops.OperatorBase) -> Reason:
    """Why a graph cannot have this op."""
    if isinstance(op, torch._ops.OpOverload):
        namespace, _, name = op._schema.name.partition("::")
        plain = name.rstrip("_")
        for reason in _REASONS:
            if re.fullmatch(reason.names, plain) or re.fullmatch(reason.names, f"{plain}.{op._overloadname}"):
                return reason
        if namespace != "aten":
            return Reason(
                "",
                f"it is an op of {namespace}, not one of torch's own",
                "call the torch functions that it stands for while the model is captured",
            )
    for reason in _REASONS:
        if re.fullmatch(reason.names, str(op)):
            return reason
    return Reason("", "", "write the model with ops that have one; docs/torch-coverage.md lists them")
