"""Methods that colour the whole picture at once, one a file."""
