"""Reads Core ML files from their published specification, on any operating system."""
