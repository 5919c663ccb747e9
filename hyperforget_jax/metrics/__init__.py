"""Evaluation of unlearned models: from predictions to results in long form, one pandas frame."""
