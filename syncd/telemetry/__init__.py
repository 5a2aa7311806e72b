"""What people and programs see of a run: log, progress, report."""
