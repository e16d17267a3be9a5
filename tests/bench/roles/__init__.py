"""The processes between which files are moved."""
