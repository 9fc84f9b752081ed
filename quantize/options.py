"""Options of a quantization, looked at before any sample is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..exporter.errors import UsageError
from .fine_inputs import INPUT_BITS
from .forms import STRICT
from .observe import OBSERVERS
from .plan import IO
from .store_weights import BITS
from .writer import WEIGHTS

SCHEMES = ("int8", STRICT, *BITS)


def check_choices(
    scheme: str, *, observer: str = "minmax", io: str = "float32", weights: str = "full", input_bits: int = 8
) -> None:
    """UsageError TP050 for a name that is not known, and for weights that the scheme has not."""
    check_one_of("scheme", scheme, SCHEMES)
    check_one_of("observer", observer, tuple(OBSERVERS))
    check_one_of("io", io, IO)
    check_one_of("weights", weights, tuple(WEIGHTS))
    if input_bits not in INPUT_BITS:
        raise UsageError("TP050", f"input_bits {input_bits!r} is not known", help="input_bits is one of: 8, 12")
    if input_bits != 8 and (io != "float32" or scheme == STRICT):
        given = f"scheme {scheme}" if scheme == STRICT else f"io {io}"
        raise UsageError(
            "TP050",
            f"input_bits {input_bits} is for float32 inputs of scheme int8, not for {given}",
            help="leave out one",
        )
    if scheme == STRICT and weights != "full":
        raise UsageError(
            "TP050", f"scheme {STRICT} has no {weights} weights", help="leave out weights, or take scheme int8"
        )


def check_one_of(what: str, given: str, known: Sequence[str]) -> None:
    """UsageError TP050 when what was given is none of those that are known."""
    if given not in known:
        raise UsageError("TP050", f"{what} {given!r} is not known", help=f"{what} is one of: {', '.join(known)}")


def check_bound(max_drop: float | None, validation: object, *, planned: bool = False) -> None:
    """Whether there is both a bound on the loss of accuracy and what accuracy is measured by, or neither.

    planned   a plan is given, which decides already what stays float
    raises    UsageError TP005 for one that would be ignored, TP051 without labels, TP050 for a bound that is no number
    """
    if planned and (max_drop is not None or validation is not None):
        idle = "validation" if max_drop is None else "max_drop"
        raise UsageError("TP005", f"{idle} would be ignored: the plan decides this already", help=f"leave out {idle}")
    if max_drop is None:
        if validation is not None:
            raise UsageError(
                "TP005",
                "validation would be ignored: accuracy is measured where its loss is bounded",
                help="say how many points may be lost, max_drop=0.5, or leave out validation",
            )
        return
    if not math.isfinite(max_drop):
        raise UsageError(
            "TP050", f"max_drop {max_drop} is no number of points", help="max_drop=0.5 allows half a point"
        )
    if validation is None:
        raise UsageError("TP051", "max_drop needs samples with labels", help="validation=({input name: array}, labels)")
