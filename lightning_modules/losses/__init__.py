"""Loss functions and what they need to know, one a file."""
