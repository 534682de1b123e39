"""Is a stated probability the frequency that comes true? Simulations whose truth is known.

`python -m performance.calibration laws|mixture|departures|ablations|horizons` runs one part on all
cores (each table is seeded by its own number, so a part may be stopped and resumed), keeps
every table's result in performance/results/calibration/PART.jsonl, and writes the part's summary.
"""
