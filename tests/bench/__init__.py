"""How fast and how large syncd is beside bare programs that do only what cannot be left out.

`python -m tests.bench [SCENARIO ...] [--scale 0.1]` prints the ratios. Nothing here asserts a time: machines
differ, and a busy one would make a liar of any number. What a run reports to have done is checked, though.
"""
