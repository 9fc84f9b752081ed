"""One file per op family; importing this package fills the target's table of emitters."""

from __future__ import annotations

from . import (  # noqa: F401 - each fills the target's table of emitters when it is imported
    activation,
    conv,
    conv_transpose,
    elementwise,
    index,
    linear,
    logic,
    pool,
    quantized,
    recurrent,
    reduce,
    resize,
    shape,
)
