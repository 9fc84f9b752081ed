from __future__ import annotations

from triport.exporter.ops import BatchNorm, LayerNorm

from .case import Const, Data, OpCase


def _statistics(channels: int) -> tuple[Const, ...]:
    return (
        Const((channels,), 0.5, 2),
        Const((channels,)),
        Const((channels,), -2, 2),
        Const((channels,), 0.1, 4),
    )


CASES = [
    OpCase("batch_norm/images", BatchNorm(1e-3), (Data((5, 4, 6)), *_statistics(5))),
    OpCase("batch_norm/vectors", BatchNorm(1e-5), (Data((9,)), *_statistics(9))),
    OpCase("batch_norm/channels_last", BatchNorm(1e-3, axis=3), (Data((4, 6, 5)), *_statistics(5))),
    OpCase("layer_norm/last_axis", LayerNorm(1, 1e-3), (Data((5, 12)), Const((12,), 0.5, 2), Const((12,)))),
    OpCase("layer_norm/plain", LayerNorm(1, 1e-5), (Data((7,)),)),
    OpCase("layer_norm/two_axes", LayerNorm(2, 1e-5), (Data((3, 4, 5)), Const((4, 5), 0.5, 2), Const((4, 5)))),
    OpCase("layer_norm/shifted", LayerNorm(1, 1e-5), (Data((32,), 99, 103), Const((32,), 0.5, 2), Const((32,)))),
    OpCase("layer_norm/zero_range", LayerNorm(1, 1e-3), (Data((6,), 2, 2), Const((6,), 0.5, 2), Const((6,)))),
]
