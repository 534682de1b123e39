"""A family of tiny models in which a few-shot skill really emerges, trained within minutes.

An ordinary user of the other rooms: model folders, a held-out corpus, tasks of lm-evaluation-harness
over local files, an experiment file. It refuses to look at a score when it chooses checkpoints: they
are chosen by loss alone.
"""
