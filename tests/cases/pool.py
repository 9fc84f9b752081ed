from __future__ import annotations

import math

from triport.exporter.ops import AveragePool, MaxPool

from .case import Data, OpCase

ONE = (1, 1)
NONE = ((0, 0), (0, 0))
ONE_3D = (1, 1, 1)
NONE_3D = ((0, 0), (0, 0), (0, 0))

CASES = [
    OpCase("max_pool/even", MaxPool((2, 2), (2, 2), NONE, ONE), (Data((3, 8, 6)),)),
    OpCase("max_pool/odd_size", MaxPool((2, 2), (2, 2), NONE, ONE), (Data((3, 7, 5)),)),
    OpCase("max_pool/overlap", MaxPool((3, 3), (1, 2), NONE, ONE), (Data((5, 9, 9)),)),
    OpCase("max_pool/symmetric_padding", MaxPool((3, 3), (2, 2), ((1, 1), (1, 1)), ONE), (Data((3, 8, 8), high=-1.0),)),
    OpCase(
        "max_pool/asymmetric_padding", MaxPool((3, 3), (2, 2), ((0, 1), (0, 1)), ONE), (Data((3, 8, 8), high=-1.0),)
    ),
    OpCase("max_pool/odd_padding", MaxPool((3, 2), (1, 1), ((2, 0), (1, 0)), ONE), (Data((2, 6, 6), high=-1.0),)),
    OpCase("max_pool/dilation", MaxPool((2, 2), (1, 1), NONE, (2, 2)), (Data((2, 7, 7)),)),
    OpCase(
        "max_pool/dilation_hangs_over",
        MaxPool((3, 2), (2, 2), ((1, 3), (2, 1)), (2, 3)),
        (Data((2, 6, 6), high=-1.0),),
    ),
    OpCase(
        "max_pool/dilation_of_one_axis",
        MaxPool((3, 2), (1, 2), ((0, 0), (1, 0)), (1, 3)),
        (Data((3, 6, 9), high=-1.0),),
    ),
    OpCase("max_pool/1d_dilation", MaxPool((3,), (2,), ((1, 1),), (2,)), (Data((4, 11)),)),
    OpCase("max_pool/3d", MaxPool((2, 2, 2), (2, 2, 2), NONE_3D, ONE_3D), (Data((3, 4, 6, 5)),)),
    OpCase(
        "max_pool/3d_padding",
        MaxPool((3, 2, 3), (1, 2, 2), ((1, 1), (0, 1), (2, 0)), ONE_3D),
        (Data((2, 4, 5, 6), high=-1.0),),
    ),
    OpCase("max_pool/3d_dilation", MaxPool((2, 2, 3), (2, 1, 1), NONE_3D, (2, 1, 2)), (Data((1, 6, 4, 7)),)),
    OpCase("max_pool/1d", MaxPool((3,), (2,), ((1, 1),), (1,)), (Data((4, 11)),)),
    OpCase(
        "max_pool/infinities",
        MaxPool((2, 2), (2, 2), NONE, ONE),
        (Data((1, 4, 4), values=(-math.inf, 1.0, math.inf, -2.0, -math.inf)),),
    ),
    OpCase("average_pool/even", AveragePool((2, 2), (2, 2), NONE, ONE), (Data((3, 8, 6)),)),
    OpCase("average_pool/overlap", AveragePool((3, 3), (2, 1), NONE, ONE), (Data((3, 9, 8)),)),
    OpCase("average_pool/same", AveragePool((3, 3), (2, 2), ((0, 1), (0, 1)), ONE), (Data((3, 8, 8)),)),
    OpCase("average_pool/padding_left_out", AveragePool((3, 3), (1, 1), ((1, 1), (1, 1)), ONE), (Data((3, 6, 5)),)),
    OpCase(
        "average_pool/padding_counted",
        AveragePool((3, 3), (2, 2), ((1, 1), (1, 1)), ONE, count_include_pad=True),
        (Data((3, 7, 7)),),
    ),
    OpCase("average_pool/odd_padding", AveragePool((3, 3), (2, 2), ((2, 0), (1, 0)), ONE), (Data((2, 7, 6)),)),
    OpCase("average_pool/3d", AveragePool((2, 3, 2), (2, 2, 1), NONE_3D, ONE_3D), (Data((3, 4, 7, 5)),)),
    OpCase(
        "average_pool/3d_padding_left_out",
        AveragePool((3, 3, 3), (2, 2, 1), ((1, 1), (1, 0), (0, 1)), ONE_3D),
        (Data((2, 5, 6, 5)),),
    ),
    OpCase(
        "average_pool/3d_padding_counted",
        AveragePool((3, 3, 3), (2, 2, 2), ((1, 1), (1, 1), (1, 1)), ONE_3D, count_include_pad=True),
        (Data((2, 5, 6, 5)),),
    ),
    OpCase("average_pool/1d", AveragePool((4,), (2,), ((1, 1),), (1,)), (Data((3, 12)),)),
]
