"""One module, one result: each runs as `python -m experiments.NAME` from the root of the repository and says how in its first lines.

`pipeline` is the whole path for any config; `quickstart` and `mnist4` are that for theirs; `paper` has the paper's tables and figures.
Steps that they share: `command` parses and checks, `run` is what every stage needs, `stages`, `replies`, `measure`, `tidy`, `align`
and `pictures` are the parts of the path.
"""
