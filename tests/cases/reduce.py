from __future__ import annotations

from triport.exporter.ops import ReduceMax, ReduceMean, ReduceMin, ReduceSum

from .case import Data, OpCase

_OPS = {"mean": ReduceMean, "sum": ReduceSum, "max": ReduceMax, "min": ReduceMin}

CASES = [
    *(OpCase(f"reduce_{name}/spatial", op((2, 3), False), (Data((3, 5, 4)),)) for name, op in _OPS.items()),
    *(OpCase(f"reduce_{name}/spatial_kept", op((2, 3), True), (Data((3, 5, 4)),)) for name, op in _OPS.items()),
    *(OpCase(f"reduce_{name}/channels", op((1,), True), (Data((3, 5)),)) for name, op in _OPS.items()),
    *(OpCase(f"reduce_{name}/last", op((2,), False), (Data((5, 33)),)) for name, op in _OPS.items()),
    *(OpCase(f"reduce_{name}/no_axes", op((), False), (Data((4, 5)),)) for name, op in _OPS.items()),
    OpCase("reduce_mean/1d", ReduceMean((2,), False), (Data((4, 9)),)),
    OpCase("reduce_mean/all_but_batch", ReduceMean((1, 2, 3), False), (Data((4, 9, 2)),)),
]
