"""The offline report: one HTML file with tables and pictures."""
