"""One file, one setting: `get_config()` returns it; its header says what it trains and what to expect."""
