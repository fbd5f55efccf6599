"""Command line: ``python -m deepcr_lightning.export CKPT OUT.pth``, ``OUT.onnx`` or ``OUT.ckpt``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deepcr_lightning.console.printable import printable
from deepcr_lightning.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error, of which one line stands on stderr.
    """
    options = parser().parse_args(arguments)
    try:
        print(_export(options.ckpt_path, options.out.expanduser(), options.network))
    except InputError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="deepcr-lightning export",
        description="Write a trained network for other programs: OUT.pth for the package deepCR (depth 2 only), or "
        "OUT.onnx, from electrons to probability, with a .json file that describes its training and use. "
        "To share it: OUT.ckpt contains only weights and description, without paths.",
    )
    made.add_argument("ckpt_path", help="network: best.ckpt of a run, a .pth of deepCR, or the name of one of these")
    made.add_argument("out", type=Path, help="file to write; its suffix chooses the format")
    made.add_argument("--network", help="name of the network, such as mypackage.MyNet, if it is one of your own")
    return made


def _export(path: str, out: Path, network: str | None) -> str:
    # PyTorch takes seconds to import: --help does not wait for it.
    from deepcr_lightning.inpainting.fill_model import load_fill_model
    from deepcr_lightning.models.card import FILLER
    from deepcr_lightning.models.checkpoint import read_card_of
    from deepcr_lightning.models.hand_over import export, hand_on
    from deepcr_lightning.models.model import Model, load_model

    file = Path(path).expanduser()
    filler = file.suffix == ".ckpt" and file.is_file() and read_card_of(file).kind == FILLER
    model = load_fill_model(file) if filler else load_model(path, network)
    if out.exists() and out.samefile(model.path):
        raise InputError(f"{out}: is the network itself; give another file to write")
    if out.suffix == ".ckpt":
        return hand_on(model.path, out)
    if not isinstance(model, Model):
        raise InputError(f"{out}: an inpainting network has no such form; the ending must be .ckpt")
    told = export(model, out)
    if model.hubble is not None:
        told += f"\n{model.hubble.path.stem}, its part for exposures of HST, is exported by that name"
    return told


if __name__ == "__main__":
    sys.exit(main())
