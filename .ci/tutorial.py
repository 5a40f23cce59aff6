"""Runs every command of docs/tutorial.md, in its order, in an empty folder.

A fenced block marked `sh` is run; one whose mark is followed by a file's name is written to it.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> int:
    path = f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    blocks = BLOCK.findall((ROOT / "docs/tutorial.md").read_text())
    with tempfile.TemporaryDirectory() as folder:
        for language, name, content in blocks:
            if name:
                (Path(folder) / name).write_text(content)
            elif language == "sh":
                for command in content.strip().splitlines():
                    print(f"$ {command}", flush=True)
                    done = subprocess.run(
                        ["bash", "-c", command], cwd=folder, env={**os.environ, "PATH": path}
                    )
                    if done.returncode:
                        print(f"failed with exit code {done.returncode}: {command}")
                        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
