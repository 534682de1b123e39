"""The commands: parse, call, print. One module for what belongs together; none knows the app."""
