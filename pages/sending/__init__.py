"""Sending: the addresses mail comes from, and campaigns."""
