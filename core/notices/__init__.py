"""Notices: alerts on their way to people, by e-mail and webhook."""
