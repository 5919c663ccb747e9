"""Attacks on unlearned models, and audits of them; reference models are attacked alike, as a control."""
