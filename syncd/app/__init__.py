"""The composition root: the only place that names concrete classes. One module for each way to run.

Called by `cli` with resolved specs; builds accounts, trees, stores and jobs, runs the event loop and the signals. It
decides nothing about files. A run loads only the module that it needs.
"""
