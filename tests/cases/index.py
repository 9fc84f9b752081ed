from __future__ import annotations

from triport.exporter.graph import DType
from triport.exporter.ops import Gather, Iota, Scatter, Size, TakeAlong

from .case import BATCH, Const, Data, OpCase

_WIDE = Data((6, 3), fixed=True)
_ROWS = Data((3,))
"""One row of three cells for each of the batch's indices."""


def _indices(*shape: int, most: int, dtype: DType = DType.INT64) -> Data:
    return Data(shape, 0, most, dtype)


CASES = [
    OpCase("iota/batch", Iota(BATCH * 3 + 1), (_ROWS,)),
    OpCase("size/batch", Size(BATCH * 2 + 5), (_ROWS,)),
    OpCase("gather/embedding", Gather(0), (Const((11, 6)), _indices(5, most=10, dtype=DType.INT32))),
    OpCase("gather/embedding_int64", Gather(0), (Const((11, 6)), _indices(5, most=10))),
    OpCase("gather/columns", Gather(1), (Const((3, 7)), _indices(2, most=6, dtype=DType.INT32))),
    OpCase("gather/from_free_rows", Gather(0), (Data((4,)), Data((3,), 0, 0, DType.INT32, fixed=True))),
    OpCase("take_along/last", TakeAlong(2), (Data((3, 5)), _indices(3, 2, most=4))),
    OpCase("take_along/middle", TakeAlong(1), (Data((5, 3)), _indices(7, 3, most=4, dtype=DType.INT32))),
    OpCase("take_along/negative_axis", TakeAlong(-2), (Data((5, 3)), _indices(2, 3, most=4))),
    OpCase("take_along/one_axis", TakeAlong(0), (Data((6,), fixed=True), Data((4,), 0, 5, DType.INT64, fixed=True))),
    OpCase("take_along/rank_4", TakeAlong(1), (Data((5, 3, 2)), _indices(1, 3, 2, most=4))),
    OpCase("take_along/integers", TakeAlong(1), (Data((5,), -9, 9, DType.INT64), _indices(3, most=4))),
    OpCase("take_along/bools", TakeAlong(1), (Data((5,), 0, 1, DType.BOOL), _indices(3, most=4))),
    OpCase("take_along/nan", TakeAlong(1), (Data((4,), values=(float("nan"), 1.0, -0.5)), _indices(3, most=3))),
    OpCase("scatter/add_duplicates", Scatter(add=True), (_WIDE, _indices(most=5), _ROWS)),
    OpCase(
        "scatter/add_integers",
        Scatter(add=True),
        (
            Data((6,), -9, 9, DType.INT64, fixed=True),
            _indices(most=5, dtype=DType.INT32),
            Data((), -9, 9, DType.INT64),
        ),
    ),
    OpCase("scatter/add_to_constant", Scatter(add=True), (Const((6, 3)), _indices(most=5), _ROWS)),
    OpCase(
        "scatter/add_free_rows",
        Scatter(add=True),
        (Data((2,)), Data((3,), 0, 0, DType.INT64, fixed=True), Const((3, 2))),
    ),
    OpCase("scatter/replace", Scatter(), (_WIDE, Data((), values=(4, 0, 5, 2, 1, 3, 3), dtype=DType.INT64), _ROWS)),
    OpCase(
        "scatter/replace_cells",
        Scatter(),
        (Data((9,), fixed=True), Data((), values=(8, 0, 5, 2, 1, 3, 7), dtype=DType.INT32), Data(())),
    ),
    OpCase(
        "scatter/replace_nan",
        Scatter(),
        (
            Data((6,), values=(float("nan"), 1.0), fixed=True),
            Data((2,), values=(4, 1), dtype=DType.INT64, fixed=True),
            Const((2,)),
        ),
    ),
    OpCase(
        "scatter/replace_rank_3",
        Scatter(),
        (Data((4, 2, 3), fixed=True), Data((2,), values=(3, 0), dtype=DType.INT64, fixed=True), Const((2, 2, 3))),
    ),
]
