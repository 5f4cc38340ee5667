"""Neural networks: plain modules, one architecture a file; no training, no file access."""
