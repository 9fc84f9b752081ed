"""Compiles the kernels to WebAssembly: ``python targets/web/kernels/build.py`` rewrites ``targets/web/compiled/``.

Needs the `ziglang` wheel (a development dependency: its clang knows the relaxed-SIMD intrinsics). Whoever installs
triport gets the compiled files. Stripped output depends on the sources and the compiler alone, not on the folder, so
a test can compare bytes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
COMPILED = HERE.parent / "compiled"
ZIG_VERSION = "0.17.0"

VARIANTS: dict[str, tuple[str, ...]] = {
    "kernels.wasm": ("-msimd128",),
    "kernels.relaxed.wasm": ("-msimd128", "-mrelaxed-simd"),
}
"""File name → the instruction sets it may use. The relaxed one lets the processor fuse multiply and add."""

FLAGS = (
    "--target=wasm32-freestanding",
    "-Os",
    "-mbulk-memory",
    "-ffreestanding",
    "-fno-math-errno",
    "-fno-vectorize",  # loops that gain from vectors are written with them
    "-fno-slp-vectorize",
    "-nostdlib",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wl,--no-entry",
    "-Wl,--export=__heap_base",
    "-Wl,-z,stack-size=8192",
    "-s",
)


def sources() -> list[Path]:
    """The C files, in a fixed order: the linker's output follows it."""
    return sorted(HERE.glob("*.c"))


def build(folder: Path) -> list[Path]:
    """Compiles every variant into ``folder``; CalledProcessError with the compiler's message when a source is wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, features in VARIANTS.items():
        target = folder / name
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, *features]
        subprocess.run(
            [*command, *(path.name for path in sources()), "-o", str(target.resolve())], check=True, cwd=HERE
        )
        written.append(target)
    return written


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for path in build(Path(scratch)):
            data = path.read_bytes()
            COMPILED.mkdir(exist_ok=True)
            (COMPILED / path.name).write_bytes(data)
            print(f"{path.name}: {len(data)} bytes")


if __name__ == "__main__":
    main()
