from __future__ import annotations

from triport.exporter.graph import DType
from triport.exporter.ops import ArgMax, ArgMin, CumSum, ReduceMax, ReduceMean, ReduceMin, ReduceProd, ReduceSum, TopK

from .case import Data, OpCase

_OPS = {"mean": ReduceMean, "sum": ReduceSum, "max": ReduceMax, "min": ReduceMin, "prod": ReduceProd}
_ARG = {"arg_max": ArgMax, "arg_min": ArgMin}
_INTEGERS = {"int32": DType.INT32, "int64": DType.INT64}
_TIES = (1.0, 3.0, 3.0, -2.0, -2.0)

CASES = [
    *(OpCase(f"reduce_{name}/spatial", op((2, 3), False), (Data((3, 5, 4)),)) for name, op in _OPS.items()),
    *(OpCase(f"reduce_{name}/spatial_kept", op((2, 3), True), (Data((3, 5, 4)),)) for name, op in _OPS.items()),
    *(OpCase(f"reduce_{name}/channels", op((1,), True), (Data((3, 5)),)) for name, op in _OPS.items()),
    *(OpCase(f"reduce_{name}/last", op((2,), False), (Data((5, 33)),)) for name, op in _OPS.items()),
    *(OpCase(f"reduce_{name}/no_axes", op((), False), (Data((4, 5)),)) for name, op in _OPS.items()),
    OpCase("reduce_mean/1d", ReduceMean((2,), False), (Data((4, 9)),)),
    OpCase("reduce_mean/all_but_batch", ReduceMean((1, 2, 3), False), (Data((4, 9, 2)),)),
    *(
        OpCase(f"reduce_{name}/{dtype}", op((1,), False), (Data((4, 3), -5, 5, kind),))
        for name, op in _OPS.items()
        for dtype, kind in _INTEGERS.items()
        if name != "mean"
    ),
    *(OpCase(f"{name}/last", op(2, False), (Data((4, 9)),)) for name, op in _ARG.items()),
    *(OpCase(f"{name}/kept", op(1, True), (Data((6, 3, 2)),)) for name, op in _ARG.items()),
    *(OpCase(f"{name}/batch", op(0, False), (Data((5,)),)) for name, op in _ARG.items()),
    *(OpCase(f"{name}/ties", op(1, False), (Data((5,), values=_TIES),)) for name, op in _ARG.items()),
    *(OpCase(f"{name}/int32", op(-1, False), (Data((4, 5), -9, 9, DType.INT32),)) for name, op in _ARG.items()),
    *(OpCase(f"{name}/int64", op(-1, True), (Data((4, 5), -9, 9, DType.INT64),)) for name, op in _ARG.items()),
    OpCase("cum_sum/last", CumSum(2), (Data((4, 9)),)),
    OpCase("cum_sum/middle", CumSum(1), (Data((4, 3, 2)),)),
    OpCase("cum_sum/batch", CumSum(0), (Data((5,)),)),
    OpCase("cum_sum/int64", CumSum(-1), (Data((6,), -9, 9, DType.INT64),)),
    OpCase("top_k/last", TopK(3, 2), (Data((4, 9)),)),
    OpCase("top_k/smallest", TopK(3, 2, largest=False), (Data((4, 9)),)),
    OpCase("top_k/middle", TopK(2, 1), (Data((5, 3)),)),
    OpCase("top_k/smallest_in_the_middle", TopK(2, 1, largest=False), (Data((5, 3)),)),
    OpCase("top_k/all", TopK(33, 1), (Data((33,)),)),
    OpCase("top_k/ties", TopK(4, 1), (Data((5,), values=_TIES),)),
    OpCase("top_k/smallest_of_ties", TopK(4, 1, largest=False), (Data((5,), values=_TIES),)),
    OpCase("top_k/int32", TopK(2, 1), (Data((6,), -99, 99, DType.INT32),)),
]
