"""Running an experiment: the file that describes it, the plan, the ledger of results, the table.

Every run has a key made of all that determines its result, and every result goes into the ledger,
one SQLite file, the moment it exists and exactly once. So a runner may be killed at any moment and
started again: it does what is missing and nothing twice. It refuses to begin an experiment that
cannot end, and to record a failed run as a score.
"""
