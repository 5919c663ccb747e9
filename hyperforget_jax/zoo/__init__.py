"""The zoo: checkpoints of many training runs, each with its loss on every class (sections 4 and A.5)."""
