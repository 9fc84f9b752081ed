from __future__ import annotations

import math

from triport.exporter.graph import DType
from triport.exporter.ops import (
    BorderMode,
    BorderPad,
    Concat,
    Expand,
    Pad,
    Reshape,
    Reverse,
    Slice,
    Transpose,
)

from .case import BATCH, Data, OpCase

CASES = [
    OpCase("reshape/flatten", Reshape((BATCH, 24)), (Data((2, 3, 4)),)),
    OpCase("reshape/unflatten", Reshape((BATCH, 4, 3, 2)), (Data((24,)),)),
    OpCase("reshape/into_batch", Reshape((BATCH * 4, 6)), (Data((4, 6)),)),
    OpCase("reshape/integers", Reshape((BATCH, 6)), (Data((2, 3), -9, 9, DType.INT32),)),
    OpCase("transpose/matrix", Transpose((0, 2, 1)), (Data((4, 5)),)),
    OpCase("transpose/to_last", Transpose((0, 2, 3, 1)), (Data((3, 4, 5)),)),
    OpCase("transpose/batch_moves", Transpose((2, 0, 1)), (Data((3, 4)),)),
    OpCase("transpose/rank_5", Transpose((0, 3, 1, 4, 2)), (Data((2, 3, 4, 5)),)),
    OpCase("slice/middle", Slice((1,), (1,), (4,), (1,)), (Data((6, 3)),)),
    OpCase("slice/two_axes_steps", Slice((1, 2), (0, 1), (7, 6), (2, 3)), (Data((7, 8)),)),
    OpCase("slice/batch", Slice((0,), (0,), (BATCH,), (1,)), (Data((3,)),)),
    OpCase("concat/channels", Concat(1), (Data((2, 3)), Data((4, 3)), Data((1, 3)))),
    OpCase("concat/last_with_constant_row", Concat(1), (Data((2,)), Data((5,)))),
    OpCase("concat/batch", Concat(0), (Data((3,)), Data((3,)))),
    OpCase("pad/spatial", Pad((0, 0, 1, 2), (0, 0, 2, 0)), (Data((3, 4, 5)),)),
    OpCase("pad/value", Pad((0, 1), (0, 2), 1.5), (Data((4,)),)),
    OpCase("pad/minus_infinity", Pad((0, 1), (0, 2), -math.inf), (Data((4,)),)),
    OpCase("pad/by_a_free_size", Pad((0, 1), (BATCH, BATCH // 2), 0.5), (Data((4,)),)),
    OpCase("pad/integers_by_a_free_size", Pad((BATCH + 1, 0), (0, 0)), (Data((4,), -9, 9, DType.INT32),)),
    OpCase("pad/channels", Pad((0, 1, 0), (0, 0, 3)), (Data((3, 4)),)),
    OpCase("slice/free_start", Slice((0,), (BATCH - 1,), (BATCH,), (1,)), (Data((3,)),)),
    OpCase("slice/free_middle", Slice((0,), (BATCH // 2,), (BATCH,), (1,)), (Data((3,)),)),
    OpCase("slice/computed_stop", Slice((0, 1), (0, 1), ((BATCH + 1) // 2, 3), (1, 2)), (Data((4,)),)),
    OpCase("expand/row", Expand((BATCH, 4, 5)), (Data((1, 5)),)),
    OpCase("expand/new_axes", Expand((2, 3, BATCH, 4)), (Data((4,)),)),
    OpCase("expand/same", Expand((BATCH, 4)), (Data((4,)),)),
    OpCase("expand/bools", Expand((BATCH, 3, 2)), (Data((1, 2), 0, 1, DType.BOOL),)),
    OpCase("expand/integers", Expand((BATCH, 3, 2)), (Data((3, 1), -9, 9, DType.INT64),)),
    OpCase("reverse/batch", Reverse((0,)), (Data((3,)),)),
    OpCase("reverse/two_axes", Reverse((1, -1)), (Data((3, 4, 5)),)),
    OpCase("reverse/long_rows", Reverse((2,)), (Data((3, 17)),)),
    OpCase("reverse/integers", Reverse((1,)), (Data((5,), -9, 9, DType.INT64),)),
    OpCase("reverse/bools", Reverse((1,)), (Data((5,), 0, 1, DType.BOOL),)),
    OpCase("border_pad/reflect", BorderPad((0, 1, 2, 3), (0, 0, 2, 1), BorderMode.REFLECT), (Data((2, 3, 4)),)),
    OpCase(
        "border_pad/reflect_three_axes", BorderPad((0, 1, 2, 1), (0, 2, 0, 1), BorderMode.REFLECT), (Data((3, 4, 3)),)
    ),
    OpCase("border_pad/replicate", BorderPad((0, 0, 2, 5), (0, 0, 1, 4), BorderMode.REPLICATE), (Data((2, 3, 1)),)),
    OpCase("border_pad/replicate_batch", BorderPad((2, 1), (1, 0), BorderMode.REPLICATE), (Data((4,)),)),
    OpCase(
        "border_pad/nan", BorderPad((0, 2), (0, 2), BorderMode.REFLECT), (Data((3,), values=(float("nan"), 1.0, 2.0)),)
    ),
    OpCase("border_pad/integers", BorderPad((0, 1), (0, 2), BorderMode.REFLECT), (Data((4,), -9, 9, DType.INT64),)),
    OpCase(
        "border_pad/integers_replicate",
        BorderPad((0, 1), (0, 2), BorderMode.REPLICATE),
        (Data((4,), -9, 9, DType.INT32),),
    ),
]
