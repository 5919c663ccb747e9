"""Results: one module, one result; each runs from the root of the repository and says how in its first lines.

`reproduce` makes every table and figure by its name; the other modules are what it calls, or run as `python -m experiments.NAME`.
"""
