"""The paper's tables and figures by name: `python -m experiments.paper table1`.

`__main__` parses; `targets` says what each name needs and draws; `made` brings the runs to where they can be read; `protocols` has the
paper's own protocol; `subsets` asks for every forget set; `rivals` are what a generator must beat. `printed.jsonl` holds the paper's
values.
"""
