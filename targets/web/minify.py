"""Makes scripts small: ``make scripts`` rewrites ``compiled/index*.js`` from the sources under runtime/.

Every page fetches one of them, and what it fetches beside the model counts. Needs npm, for terser; whoever installs
triport gets the compiled files. A test compares them with what the sources make.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from .bundle import COMPILED, ENTRIES, MODULES, joined

TERSER = "terser@5.51.2"

COMMAND = ("npx", "--yes", TERSER, "--module", "--mangle", "--compress", "passes=3,ecma=2022,unsafe_arrows,hoist_funs")


def minified(script: str) -> str:
    """The text of one of `ENTRIES`; CalledProcessError with terser's message when a source is wrong."""
    source = joined(*MODULES, *ENTRIES[script]) + ("export { load };\n" if script == "index.js" else "")
    done = subprocess.run(COMMAND, input=source, capture_output=True, text=True, check=True, encoding="utf-8")
    return done.stdout.strip() + "\n"


def main(folder: Path = COMPILED) -> None:
    for script in ENTRIES:
        (folder / script).write_text(minified(script), encoding="utf-8")


if __name__ == "__main__":
    main()
