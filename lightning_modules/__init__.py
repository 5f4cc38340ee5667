"""Colorization methods, their networks and losses, and instance detectors."""
