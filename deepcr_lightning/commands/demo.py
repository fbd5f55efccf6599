"""Everything at work on simulated exposures: the commands that a user types, one after the other."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = "outputs/demo"
_SIMULATED = f"{FOLDER}/simulated"
_BEST = f"ckpt_path={FOLDER}/train/checkpoints/best.ckpt"
_HELD_OUT = f"input=[{','.join(f'{_SIMULATED}/science/isim0{visit}*' for visit in '89a')}]"
"""Exposures of visits that train nothing."""

_SIMULATE = f"simulate {_SIMULATED} --filters F336W F814W --exposures 20 --darks 8 --size 512 512 --chips 1"
_PREDICT = f"predict {_BEST} {_HELD_OUT} output_dir={FOLDER}/cleaned products=[mask,clean] overwrite=true"
_EVALUATE = f"evaluate {_BEST} {_HELD_OUT} truth={_SIMULATED}/truth output_dir={FOLDER}/scores"

STEPS: tuple[tuple[str, list[str]], ...] = (
    ("40 exposures of two filters and 8 darks, with the truth of every pixel", _SIMULATE.split()),
    ("a network that learns from the cosmic rays of the darks, without that truth", ["train", "experiment=demo"]),
    (
        "masks and cleaned copies of exposures that the training did not see",
        [*_PREDICT.split(), f"hydra.run.dir={FOLDER}/predict"],
    ),
    ("how good they are, against the truth", [*_EVALUATE.split(), f"hydra.run.dir={FOLDER}/evaluate"]),
)
"""What each step makes, and its command line."""

_LEFT = f"""\
Simulated exposures   {_SIMULATED}
Training, its figures {FOLDER}/train, {FOLDER}/train/figures
Cleaned exposures     {FOLDER}/cleaned
Scores and pictures   {FOLDER}/scores"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps, each as a command of its own; a step that fails ends it.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        Exit status: 0, or that of the step that failed.
    """
    parser().parse_args(arguments)
    if not os.access(".", os.W_OK):
        print(f"error: {Path.cwd()}: cannot be written; change to a folder of your own", file=sys.stderr)
        return 1
    for number, (what, command) in enumerate(STEPS, start=1):
        print(f"\n{number} of {len(STEPS)}: {what}\n$ deepcr-lightning {shlex.join(command)}", flush=True)
        status = subprocess.run([sys.executable, "-m", "deepcr_lightning", *command], check=False).returncode
        if status:
            return status
    print(f"\n{_LEFT}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line, which takes no options."""
    return argparse.ArgumentParser(
        prog="deepcr-lightning demo",
        description="Simulate exposures, train a network on them without labels, clean others and score it: 4 to 7 "
        f"minutes on two cores. All of it goes to {FOLDER} in the current folder.",
    )
