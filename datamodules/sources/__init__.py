"""Where photos come from: files and scenes, before any tensor exists. Nothing here knows torch."""
