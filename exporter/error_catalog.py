"""What each error code means: the texts behind ``triport explain``.

Numbers are grouped: TP0xx arguments and arrays, TP1xx what a port cannot express, TP2xx capture, TP3xx the machine
around the model, TP4xx files, TP5xx checks that failed. A number is never reused for something else.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One code: a title of a few words and a paragraph that says how it comes about and what to do."""

    title: str
    explanation: str


CATALOG: dict[str, Entry] = {
    "TP001": Entry(
        "wrong argument",
        "An argument has a value that is not accepted. The message names the argument, what is accepted and what was given.",
    ),
    "TP002": Entry(
        "wrong shape",
        "An array or a layer input has a shape that does not fit. Shapes are compared before anything runs, and nothing is "
        "broadcast silently: a loss between [batch, 1] and [batch] would otherwise compute a [batch, batch] table and train on it.",
    ),
    "TP003": Entry(
        "wrong dtype",
        "An array has a dtype that does not fit the input it was passed to. Convert it explicitly, for example x.astype('float32').",
    ),
    "TP004": Entry("wrong input name", "A named input is missing or unknown. `triport inspect FILE` lists the names that exist."),
    "TP201": Entry(
        "operands do not fit an op",
        "The shapes or dtypes of an op's operands contradict its definition. In a captured model this points at a defect; in a "
        "graph built by hand the message says which operand is wrong.",
    ),
    "TP202": Entry(
        "torch op without a meaning here",
        "The model calls a torch op, or a form of one, that the portable graph cannot express. The message lists each such op "
        "with the layer and line that calls it; docs/op-matrix.md lists what can be expressed.",
    ),
    "TP203": Entry(
        "a number depends on a free dimension",
        "A window, a start or an amount of padding must be known when the model is captured, but the model computes it from a "
        "dimension that was left free. Fix that dimension (leave it out of dynamic=), or make the number a constant.",
    ),
    "TP204": Entry(
        "statistics of the batch",
        "A normalisation layer computes its mean and variance from the batch it is given, so the answer for one sample would "
        "depend on the others. Build it with running statistics and capture in eval mode.",
    ),
    "TP205": Entry(
        "a free dimension is fixed by the model",
        "A dimension that was to stay free has one size only in this model: it is compared with a constant, reshaped into one, or "
        "added to a tensor of fixed size. Leave it out of dynamic=, or change the line the message names.",
    ),
    "TP206": Entry(
        "shapes or branches depend on the data",
        "What the model computes depends on the values of its input, not only on their shapes. A graph has no such branches: use "
        "torch.where, masks that multiply, or fixed sizes.",
    ),
    "TP207": Entry(
        "torch.export cannot trace the model",
        "torch.export stopped with the error given. Run the module once in eager mode with the same example inputs: if that fails "
        "too, the inputs do not fit; if it works, the model uses Python that cannot be traced.",
    ),
    "TP208": Entry(
        "the model returns something that is not a tensor",
        "A graph returns tensors. Tuples, lists and dicts of tensors are flattened; numbers, strings and None are refused.",
    ),
    "TP209": Entry(
        "dtype that no port has",
        "Ports compute in float32, float16, integers and booleans. Convert bfloat16, complex or quantized weights first.",
    ),
    "TP210": Entry("shape rule disagrees with torch", "The graph's shape rule gave another shape or dtype than torch did. This is a defect of triport."),
    "TP211": Entry(
        "the captured graph answers differently",
        "After capturing, the graph is run by its reference on the example inputs and compared with the module itself in eager "
        "mode. They must agree within float32's own error; here they did not, so nothing is returned.",
    ),
}
