"""Deliverability: what became of the mail, and who is not written to."""
