"""Packages of npm that tests run beside ours: installed once, in build/npm, under a hash of their pinned versions."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[1] / "build" / "npm"

TENSORFLOW_JS = {
    f"@tensorflow/{name}": "4.22.0" for name in ("tfjs-core", "tfjs-converter", "tfjs-backend-cpu", "tfjs-backend-wasm")
}

WEB_RUNTIMES = TENSORFLOW_JS | {"onnxruntime-web": "1.30.0", "@litertjs/core": "2.5.3"}
"""Every runtime that a browser folder can be packed around."""


def installed(packages: dict[str, str]) -> Path:
    """A folder with these packages in its node_modules.

    packages   {name: exact version}
    """
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    key = hashlib.sha256(json.dumps(packages, sort_keys=True).encode()).hexdigest()[:16]
    folder = CACHE / key
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # every worker of a parallel run asks
        if not folder.is_dir():
            _install(packages, folder)
    return folder


def _install(packages: dict[str, str], folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        fresh = Path(name) / "fresh"
        fresh.mkdir()
        manifest = {"private": True, "dependencies": packages}
        (fresh / "package.json").write_text(json.dumps(manifest), encoding="utf-8")
        command = [
            "npm",
            "install",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
            "--loglevel=error",
        ]
        done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        fresh.rename(folder)
