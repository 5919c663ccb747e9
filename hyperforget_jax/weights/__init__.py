"""Weights as data: their flat layout, their symmetries, and the codecs that turn networks into tokens."""
