"""Which threshold is best for photometry: stars that come and go with the mask."""
