"""Studies: comparisons with their trainings, declared in a file and repeated by one command."""
