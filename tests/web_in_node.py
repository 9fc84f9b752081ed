"""JavaScript run in Node: against the runtime's sources, and with a written bundle loaded."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import triport.targets.web

RUNTIME = Path(triport.targets.web.__file__).resolve().parent / "runtime"


def node(script: str) -> Any:
    """What a module script prints as JSON."""
    command = ["node", "--input-type=module", "--eval", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def in_bundle(folder: Path, body: str) -> Any:
    """What JavaScript returns that has ``model`` loaded; ``said(feeds)`` gives the text of a run's error."""
    return node(f"""
      import {{ load }} from "{(folder / "index.js").as_uri()}";
      const model = await load();
      const text = (error) => `${{error.name}}: ${{error.message}}`;
      const said = async (feeds) => model.run(feeds).then(() => "no error", text);
      const result = await (async () => {{ {body} }})();
      console.log(JSON.stringify(result));
    """)
