"""Billing: an issuer's ledger, tariffs, invoices and credit notes. Key: the issuer (a party)."""
