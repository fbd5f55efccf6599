"""Look at exposures and mend their masks in the browser: python view.py input=FILE_OR_DIR."""

import sys

from deepcr_lightning.commands.entry import run  # the @hydra.main of every command

if __name__ == "__main__":
    run("view", sys.argv[1:])
