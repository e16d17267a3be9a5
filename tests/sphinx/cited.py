"""Captures are made only if a person asks for it [PV-012], and nobody knows [ZZ-999]."""
