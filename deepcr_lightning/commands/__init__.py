"""The commands of the scripts, as functions of a config."""
