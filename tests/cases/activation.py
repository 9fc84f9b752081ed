from __future__ import annotations

import math

from triport.exporter.ops import (
    Clamp,
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    LogSoftmax,
    Mish,
    OpAttrs,
    PRelu,
    Relu,
    Selu,
    Sigmoid,
    Silu,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)

from .case import Const, Data, OpCase

_UNARY: dict[str, OpAttrs] = {
    "relu": Relu(),
    "relu6": Clamp(0.0, 6.0),
    "clamp/both": Clamp(-0.5, 1.25),
    "clamp/below": Clamp(minimum=-0.5),
    "clamp/above": Clamp(maximum=0.5),
    "leaky_relu": LeakyRelu(0.3),
    "elu": Elu(1.0),
    "elu/alpha": Elu(0.7),
    "selu": Selu(),
    "sigmoid": Sigmoid(),
    "hard_sigmoid": HardSigmoid(),
    "hard_swish": HardSwish(),
    "silu": Silu(),
    "gelu": Gelu(),
    "gelu/tanh": Gelu(approximate=True),
    "tanh": Tanh(),
    "softplus": Softplus(),
    "softsign": Softsign(),
    "mish": Mish(),
}
_EXTREMES = (-1e4, -100.0, -20.0, -1e-4, -0.0, 0.0, 1e-4, 20.0, 80.0)
_PASS_NAN = ("relu", "relu6", "sigmoid", "tanh", "leaky_relu", "silu")
_SMALL_BELOW_ZERO = ("sigmoid", "silu", "softplus", "mish")
"""Small but not zero where x is far below it; with no larger number beside them they are judged by their size."""

CASES = [
    *(OpCase(name, op, (Data((5, 7), -8, 8),)) for name, op in _UNARY.items()),
    *(OpCase(f"{name}/extremes", op, (Data((9,), values=_EXTREMES),)) for name, op in _UNARY.items()),
    *(OpCase(f"{name}/far_below_zero", _UNARY[name], (Data((3,), values=(-9.5,)),)) for name in _SMALL_BELOW_ZERO),
    OpCase("relu/one_channel", Relu(), (Data((1,)),)),
    OpCase("prelu/shared", PRelu(), (Data((4, 5)), Const((1,)))),
    OpCase("prelu/channels", PRelu(), (Data((4, 5, 6)), Const((1, 4, 1, 1)))),
    OpCase("prelu/computed_slope", PRelu(), (Data((4, 5)), Data((1, 5)))),
    OpCase("prelu/rank_5", PRelu(), (Data((4, 2, 3, 2)), Const((1, 4, 1, 1, 1)))),
    OpCase("prelu/last_axis", PRelu(), (Data((4, 5)), Const((5,)))),
    OpCase("softmax/last", Softmax(1), (Data((10,)),)),
    OpCase("softmax/middle", Softmax(1), (Data((4, 6)),)),
    OpCase("softmax/rank_4", Softmax(3), (Data((2, 3, 5)),)),
    OpCase("softmax/large", Softmax(1), (Data((6,), 900, 1000),)),
    OpCase("softmax/equal", Softmax(1), (Data((4,), 2, 2),)),
    OpCase("log_softmax/last", LogSoftmax(1), (Data((10,)),)),
    OpCase("log_softmax/middle", LogSoftmax(1), (Data((4, 6)),)),
    OpCase("log_softmax/large", LogSoftmax(1), (Data((6,), 900, 1000),)),
    *(OpCase(f"{name}/nan", _UNARY[name], (Data((4,), values=(math.nan, 1.0, -1.0, math.nan)),)) for name in _PASS_NAN),
]
