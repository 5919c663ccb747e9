"""Evaluation of unlearned models: pure functions on arrays, from predictions to tidy rows."""
