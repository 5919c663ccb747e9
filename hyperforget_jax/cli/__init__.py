"""The command: one file per verb, arguments, distributed start, huge pages."""
