"""Fetch exposures and darks from the archive: python download.py proposal=16801 filter=F336W output_dir=DIR."""

import sys

from deepcr_lightning.commands.entry import run  # the @hydra.main of every command

if __name__ == "__main__":
    run("download", sys.argv[1:])
