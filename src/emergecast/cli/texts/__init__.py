"""Records as lines of text for a terminal. Nothing is worked out here."""
