"""A chat between peers that share files: an extension of p2pwire with messages of its own."""
