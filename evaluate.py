"""Say how good a network is: python evaluate.py ckpt_path=.../best.ckpt input=DIR truth=DIR or darks=DIR."""

import sys

from deepcr_lightning.commands.entry import run  # the @hydra.main of every command

if __name__ == "__main__":
    run("evaluate", sys.argv[1:])
