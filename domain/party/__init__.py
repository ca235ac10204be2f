"""Parties: roles, applications for membership and for markets. The smallest family: start reading here."""
