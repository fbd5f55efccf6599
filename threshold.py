"""Choose a threshold by the stars that come and go: python threshold.py input=DIR."""

import sys

from deepcr_lightning.commands.entry import run  # the @hydra.main of every command

if __name__ == "__main__":
    run("threshold", sys.argv[1:])
