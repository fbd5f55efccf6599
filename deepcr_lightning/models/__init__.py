"""Trained networks with their cards: checkpoint files, the model that comes with the package, deepCR and ONNX."""
