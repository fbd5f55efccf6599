"""Find the cosmic rays of exposures: python predict.py input=DIR output_dir=DIR."""

import sys

from deepcr_lightning.commands.entry import run  # the @hydra.main of every command

if __name__ == "__main__":
    run("predict", sys.argv[1:])
