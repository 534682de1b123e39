"""The experiments: from checkpoints and a task to a table of measurements.

`experiment` reads the file that describes one, `checkpoints` and `tasks` what it names; `catalogue`
knows public series by name, and `fetching` gets them from the hub. `evaluate`
and `finetune` measure a model, `worker` does one run, `ledger` keeps its result, `plan` says what
is missing, and `executors` do it. `proving_ground` trains tiny models to try all of it on, of an
`architecture` of its own.

It refuses to forecast: it writes measurements, and knows none of the rooms that make forecasts. A
run that failed is kept with its error, never as a score. It needs the extra `emergecast[lab]`;
importing these rooms loads no torch until something is measured.
"""
