from __future__ import annotations

import math

from triport.exporter.graph import DType
from triport.exporter.ops import Concat, Gather, Pad, Reshape, Slice, Transpose

from .case import BATCH, Const, Data, OpCase

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
    OpCase("pad/channels", Pad((0, 1, 0), (0, 0, 3)), (Data((3, 4)),)),
    OpCase("gather/embedding", Gather(0), (Const((11, 6)), Data((5,), 0, 10, DType.INT32))),
    OpCase("gather/embedding_int64", Gather(0), (Const((11, 6)), Data((5,), 0, 10, DType.INT64))),
    OpCase("gather/columns", Gather(1), (Const((3, 7)), Data((2,), 0, 6, DType.INT32))),
]
