"""Billing: an issuer's ledger in double entry, tariffs, credit allotments, invoices and credit notes."""
