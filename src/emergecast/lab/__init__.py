"""The experiments: from a series of checkpoints and a task to a table of measurements.

`checkpoints` finds and loads models, `tasks` reads tasks of lm-evaluation-harness, `evaluate`
scores a model and `finetune` trains it on a task. `experiment` reads an experiment file, `plan`
lists its runs, `executors` and `worker` do them, and `ledger` keeps the results. `proving_ground`
is a family of tiny models to try all of this on, with their own `architecture`.

It refuses to forecast: it writes measurements, and never imports `inference`, `forecasts` or
`backtests`. A run that failed is kept with its error, never as a score. It needs the extra
`emergecast[lab]`; importing these rooms loads no torch until something is measured.
"""
