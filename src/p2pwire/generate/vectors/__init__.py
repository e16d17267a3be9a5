"""Vectors: small proofs, one a line of JSON, that an implementation reads and writes the protocol as SPEC.md says.

Each module makes one family. Everything is deterministic: keys are fixed, and nothing asks the clock or the system.
"""
