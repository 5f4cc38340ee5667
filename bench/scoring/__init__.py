"""Scores of coloured pictures and of the instances in them. Importing it alone costs no torch."""
