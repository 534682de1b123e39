"""The commands, one module for what belongs together; none knows the app."""
