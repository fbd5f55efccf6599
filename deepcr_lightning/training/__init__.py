"""Training: the ground of the LightningModules, losses, optimiser, checkpoints, and resuming."""
