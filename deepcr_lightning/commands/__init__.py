"""What the scripts do, as functions of a config."""
