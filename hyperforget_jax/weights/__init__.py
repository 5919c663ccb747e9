"""Weights as data: their flat layout, their symmetries, and the codecs that turn models into tokens."""
