"""The three stages of instance-aware colorization: whole picture, instances, their fusion."""
