"""The commands, one thin function each. What is heavy is imported inside, so that `--help` answers at once."""
