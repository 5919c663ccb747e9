"""The paper's tables and figures by name: `python -m experiments.paper table1`.

`__main__` parses; `targets` says what each name needs; `made` brings the runs to where they can be read. `tables` and `drawings` are the
paper's own, with `protocols` for the paper's protocol and `printed.jsonl` for its values. `beyond` has what the paper does not ask:
`subsets` (every forget set), `rivals` (what a generator must beat), `attacks` (other membership attackers), `grids` and `costs`; `pivots`
compares settings with fewer pivots. `once` keeps what each of these measured.
"""
