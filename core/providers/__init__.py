"""Providers: the only place that knows Amazon SES. base.py is the contract, ses.py and queue.py call AWS."""
