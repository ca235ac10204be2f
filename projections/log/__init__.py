"""Slates of the log itself."""
