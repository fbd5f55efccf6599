"""Training: losses, metrics, the LightningModule and its checkpoints."""
