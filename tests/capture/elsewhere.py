"""Which test file beside test_converters.py has the cases of which converters. conftest.py holds each file to it."""

from __future__ import annotations

from triport.exporter.capture.registry import _CONVERTERS

FILES = {
    "arrange": "test_moving",
    "attention": "test_attention",
    "bags": "test_moving",
    "complex_numbers": "test_complex",
    "distances": "test_pairs_and_scans",
    "einsum": "test_products",
    "fourier": "test_complex",
    "index": "test_moving",
    "recurrent": "test_recurrent",
    "scans": "test_pairs_and_scans",
    "unpool": "test_pools",
    "windows": "test_moving",
}
"""Files of converters, and the test file that has the cases of all of them."""

SINGLE = {
    "test_pairs_and_scans": ("msort", "erfc", "special_erfc"),
    "test_saved": ("convolution",),
    "test_writes": ("fill.Tensor", "copy.default"),
    "test_products": (
        *("addbmm", "outer", "ger", "addr", "inner", "chain_matmul", "linalg_multi_dot", "linalg_vecdot", "kron"),
        "bilinear",
    ),
    "test_norms": (
        *("_native_batch_norm_legit.no_stats", "native_layer_norm", "instance_norm", "group_norm"),
        *("native_group_norm", "rms_norm", "_fused_rms_norm"),
    ),
    "test_resampling": (
        *("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "upsample_bicubic2d"),
        *("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
    ),
    "test_moving": (
        "sym_numel",
        *("tensor_split.sections", "tensor_split.indices"),
        *("reflection_pad1d", "reflection_pad2d", "reflection_pad3d"),
        *("replication_pad1d", "replication_pad2d", "replication_pad3d"),
    ),
}
"""Converters of the other files that have their cases there."""


def file_of(name: str) -> str:
    """The file of a converter: ``attention``."""
    return _CONVERTERS[name].__module__.rpartition(".")[2]


def claimed(test_file: str) -> set[str]:
    """The converters whose cases a test file has."""
    whole = {name for name in _CONVERTERS if FILES.get(file_of(name)) == test_file}
    return whole | set(SINGLE.get(test_file, ()))
