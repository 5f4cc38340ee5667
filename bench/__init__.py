"""Names, files, scores, tables and dashboards of the colorization benchmark."""
