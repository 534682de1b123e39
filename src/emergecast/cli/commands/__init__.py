"""The commands, one module for what belongs together; none knows the app.

A command's parameters are its options, each with its help, so that some pass fifty lines while
their bodies stay short.
"""
