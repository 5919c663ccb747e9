"""Diffusion over weights: a transformer that denoises the tokens of a model, given its class losses."""
