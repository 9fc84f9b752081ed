from __future__ import annotations

from triport.exporter.ops import Linear, MatMul

from .case import Const, Data, OpCase

CASES = [
    OpCase("linear/matrix", Linear(), (Data((13,)), Const((7, 13)), Const((7,)))),
    OpCase("linear/no_bias", Linear(), (Data((8,)), Const((5, 8)))),
    OpCase("linear/one_output", Linear(), (Data((8,)), Const((1, 8)), Const((1,)))),
    OpCase("linear/rank_3", Linear(), (Data((5, 8)), Const((6, 8)), Const((6,)))),
    OpCase("linear/rank_4_no_bias", Linear(), (Data((2, 3, 8)), Const((6, 8)))),
    OpCase("linear/long", Linear(), (Data((1031,)), Const((17, 1031)), Const((17,)))),
    OpCase("linear/weight_is_an_input", Linear(), (Data((8,)), Data((5, 8), fixed=True), Const((5,)))),
    OpCase("linear/rank_3_weight_is_an_input", Linear(), (Data((4, 8)), Data((5, 8), fixed=True), Const((5,)))),
    OpCase(
        "linear/vector_weight_is_an_input", Linear(), (Data((8,), fixed=True), Data((5, 8), fixed=True), Const((5,)))
    ),
    OpCase("matmul/batched", MatMul(), (Data((3, 4, 5)), Data((3, 5, 6)))),
    OpCase("matmul/rank_5", MatMul(), (Data((2, 1, 3, 4)), Data((1, 3, 4, 2)))),
    OpCase("matmul/one_row", MatMul(), (Data((1, 9)), Data((9, 1)))),
    OpCase("matmul/transposed", MatMul(transpose_b=True), (Data((3, 4, 5)), Data((3, 6, 5)))),
    OpCase("matmul/transposed_odd", MatMul(transpose_b=True), (Data((2, 7, 9)), Data((1, 13, 9)))),
    OpCase("matmul/transposed_matrix", MatMul(transpose_b=True), (Data((4, 5)), Const((3, 5)))),
    OpCase("matmul/broadcast", MatMul(), (Data((3, 4, 5)), Const((5, 6)))),
]
