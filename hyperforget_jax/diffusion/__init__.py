"""Diffusion over weights: a transformer that denoises the tokens of a network, given its class losses."""
