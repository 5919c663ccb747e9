"""From a request to unlearned networks: prompts, generation and selection, and the retrained reference."""
