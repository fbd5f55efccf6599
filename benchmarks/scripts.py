"""The project's scripts and modules, run by a benchmark as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys


def run_script(*arguments: object, threads: int) -> str:
    """Run a script or module of the project; return what it printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-500:]}{done.stderr[-2000:]}")
    return done.stdout
