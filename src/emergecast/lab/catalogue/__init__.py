"""What the field has, by name: series, tasks and recipes as data files, one registry each.

It refuses a name that it does not hold, with the nearest ones, and says of each choice whether it
is published or ours.
"""
