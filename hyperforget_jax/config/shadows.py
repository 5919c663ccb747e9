"""Defaults of the honest attack with shadow models on a hypernetwork."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ShadowsConfig:
    """How many systems, each a zoo and a hypernetwork of its own, an attacker trains."""

    systems: int = 32
    """Systems; an even number. Each forgotten training image is in the training set of half of them."""
    samples: int = 64
    """Models of each system's answer, whose mean confidence a second attacker sees."""
    knowing: int = 16
    """Models of each system that are trained on everything it has, for the attack if nothing is forgotten."""
