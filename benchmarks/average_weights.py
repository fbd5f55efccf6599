"""Average the weights of two models, one of which was trained on from the other.

    python benchmarks/average_weights.py OLD.ckpt NEW.ckpt OUT.ckpt [--share 0.7]

Trained on from the same weights, networks lie in one valley, and between them is often one that is as good as each
where that is the better (Wortsman et al. 2022, arXiv 2109.01903). OUT.ckpt has the description of NEW.ckpt: its
curves, its threshold, its data.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.models.lean import lean_checkpoint


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=0.7, help="of the new weights, from 0 to 1")
    options = parser.parse_args()
    if not 0 <= options.share <= 1:
        parser.error(f"--share {options.share}: must be from 0 to 1")
    old, new = lean_checkpoint(options.old)["state_dict"], lean_checkpoint(options.new)
    weights = new["state_dict"]
    if {name: value.shape for name, value in old.items()} != {name: value.shape for name, value in weights.items()}:
        parser.error(f"{options.old} and {options.new} are networks of different shapes")
    for name, value in weights.items():
        if value.is_floating_point():
            weights[name] = options.share * value + (1 - options.share) * old[name]
    write_atomically(options.out, lambda partial: torch.save(new, partial))


if __name__ == "__main__":
    main()
