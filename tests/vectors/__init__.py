"""The reference as a judge of the committed vectors."""
