"""The experiments: from a series of checkpoints and a task to a table of measurements.

`series` reads checkpoints, `tasks` reads tasks of lm-evaluation-harness, `evaluate` scores a model,
`finetune` brings one to a task, `runner` does it for a whole grid and keeps what it measured;
`proving_ground` is a family of tiny models to try all of it on, of an `architecture` of its own.

It refuses to forecast: it writes measurements, and never imports `fit`, `forecast` or `backtest`. A
run that failed is kept with its error, never as a score. It needs the extra `emergecast[lab]`;
importing these rooms loads no torch until something is measured.
"""
