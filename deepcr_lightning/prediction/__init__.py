"""Prediction: probability maps of whole exposures, and the files made of them."""
