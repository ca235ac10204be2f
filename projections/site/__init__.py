"""Slates of the family `site`."""
