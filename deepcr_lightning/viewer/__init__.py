"""The page in the browser: exposures, their maps and masks, and masks mended by hand."""
