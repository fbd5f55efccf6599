"""Train a cosmic-ray network without labels: python train.py experiment=f336w data.science=... data.darks=..."""

import sys

from deepcr_lightning.commands.entry import run  # the @hydra.main of every command

if __name__ == "__main__":
    run("train", sys.argv[1:])
