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
}
