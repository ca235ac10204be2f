"""Slates of the family `meter`."""
