"""Makes index.js small: ``make scripts`` rewrites ``compiled/index.js`` from the sources under runtime/.

Every page fetches this script, and what it fetches beside the model counts. Needs npm, for terser; whoever installs
triport gets the compiled file. A test compares it with what the sources make.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from .bundle import COMPILED, MODULES, joined

TERSER = "terser@5.51.2"

COMMAND = ("npx", "--yes", TERSER, "--module", "--mangle", "--compress", "passes=3,ecma=2022,unsafe_arrows")


def minified() -> str:
    """The text of index.js; CalledProcessError with terser's message when a source is wrong."""
    source = f"{joined(*MODULES, 'esm.js')}export {{ load }};\n"
    done = subprocess.run(COMMAND, input=source, capture_output=True, text=True, check=True, encoding="utf-8")
    return done.stdout.strip() + "\n"


def main(folder: Path = COMPILED) -> None:
    (folder / "index.js").write_text(minified(), encoding="utf-8")


if __name__ == "__main__":
    main()
