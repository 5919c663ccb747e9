"""Evaluation of unlearned networks: pure functions on arrays, from predictions to tidy rows."""
