"""Plots for papers: PNG and SVG files of a column's or a page's width, drawn from records and tables of runs."""
