"""Does the lab do on a GPU what it does on a CPU, and how fast?

`python -m performance.lab_gpu --write` on a machine with one GPU measures these parts in order; one
that fails does not stop the others:

- precision: the number types of evaluation and finetuning, for weights stored in 32 and 16 bits,
  and whether a seed gives the same weights twice, and when interrupted;
- large: speed and memory of a model with a billion random weights, compared with the CPU;
- tiny: steps and items per second of the proving ground's models, compared with one CPU core;
- runner: a proving ground measured by GPU workers and by CPU workers, every score compared;
- kill: kill -9 of a worker, of the runner, and of all processes;
- stored: the proving ground with weights stored in bfloat16, compared with 32 bits;
- executor: the large model measured by `emergecast run`;
- memory: the same where a full finetuning does not fit on the card.

The proving ground is made on the CPU, unless `--ground` names one.
"""

# Before NumPy and torch: it keeps this process to one thread.
from performance import _report as _report
