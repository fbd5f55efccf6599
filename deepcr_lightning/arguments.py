"""What a script does before its work: it looks at what was typed, and says what is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf


def fail(message: str) -> None:
    """Print a message and exit with status 1.

    Parameters
    ----------
    message : str
        One or two lines: what was found, where, and what to do.
    """
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(1)


def resume_overrides(arguments: Sequence[str]) -> list[str]:
    """Complete the command line of a resumed run by that of the run itself.

    Parameters
    ----------
    arguments : sequence of str
        What the person typed.

    Returns
    -------
    list of str
        With ``ckpt_path=RUN/checkpoints/last.ckpt`` among them: the overrides that RUN was started with, RUN
        as the folder to go on in, and the arguments, which win. Otherwise the arguments as they are.
    """
    given = {argument.partition("=")[0]: argument.partition("=")[2] for argument in arguments}
    run_dir = Path(given.get("ckpt_path", "")).expanduser().parent.parent
    saved = run_dir / ".hydra" / "overrides.yaml"
    if not given.get("ckpt_path") or not saved.is_file():
        return list(arguments)
    overrides = [f"hydra.run.dir={run_dir}", *(str(text) for text in OmegaConf.load(saved))]
    return [text for text in overrides if text.partition("=")[0] not in given] + list(arguments)
