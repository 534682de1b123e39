"""What the field has: tasks with everything settled, as data files with a registry.

It refuses a name that it does not hold, with the nearest ones, and says of each choice whether it
is published or ours.
"""
