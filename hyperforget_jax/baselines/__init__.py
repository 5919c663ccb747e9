"""Other methods of unlearning, each a pure function of one model, vectorised over models and settings in `method`."""
