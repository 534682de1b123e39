"""What the lab knows by name: data files and one registry for each kind.

It holds no numbers of its own: every fact stands in a data file beside its source, and what nobody
has checked is marked there. It refuses a name that it does not have, and says the nearest ones.
"""
