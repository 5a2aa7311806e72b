"""A daemon under a storm of edits: the long form is `python -m tests.churn --minutes 30 --seed N`."""
