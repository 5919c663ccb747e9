"""From a request to unlearned models: prompts, generation and selection, and the retrained reference."""
