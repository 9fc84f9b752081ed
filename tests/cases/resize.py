from __future__ import annotations

from triport.exporter.ops import Resize, ResizeMode

from .case import Data, OpCase

NEAREST, BILINEAR = ResizeMode.NEAREST, ResizeMode.BILINEAR

CASES = [
    OpCase("resize/nearest_double", Resize((8, 10), NEAREST), (Data((3, 4, 5)),)),
    OpCase("resize/nearest_uneven", Resize((12, 10), NEAREST), (Data((3, 4, 5)),)),
    OpCase("resize/nearest_fraction", Resize((7, 9), NEAREST), (Data((2, 4, 5)),)),
    OpCase("resize/nearest_smaller", Resize((3, 2), NEAREST), (Data((2, 7, 5)),)),
    OpCase("resize/bilinear_double", Resize((8, 10), BILINEAR), (Data((3, 4, 5)),)),
    OpCase("resize/bilinear_fraction", Resize((7, 9), BILINEAR), (Data((2, 4, 5)),)),
    OpCase("resize/bilinear_smaller", Resize((3, 4), BILINEAR), (Data((2, 7, 9)),)),
    OpCase("resize/bilinear_from_one", Resize((3, 3), BILINEAR), (Data((2, 1, 1)),)),
    OpCase("resize/bilinear_align_corners", Resize((7, 9), BILINEAR, align_corners=True), (Data((2, 4, 5)),)),
    OpCase("resize/bilinear_1d", Resize((13,), BILINEAR), (Data((3, 6)),)),
    OpCase("resize/nearest_3d", Resize((5, 6, 4), NEAREST), (Data((2, 3, 4, 5)),)),
    OpCase("resize/trilinear", Resize((5, 6, 4), BILINEAR), (Data((2, 3, 4, 5)),)),
    OpCase("resize/trilinear_align_corners", Resize((5, 6, 4), BILINEAR, align_corners=True), (Data((2, 3, 4, 5)),)),
    OpCase("resize/nearest_1d", Resize((12,), NEAREST), (Data((3, 6)),)),
]
