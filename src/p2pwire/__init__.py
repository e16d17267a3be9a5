"""p2pwire: a peer-to-peer wire protocol that can be trusted to the byte."""
