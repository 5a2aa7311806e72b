"""The state database of a job: baseline, claims, and the spool of remote listings."""
