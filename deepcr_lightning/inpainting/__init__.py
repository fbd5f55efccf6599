"""The network that fills the pixels of cosmic rays."""
