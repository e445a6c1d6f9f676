"""Hooks: what others send us over HTTPS: SNS notifications, Resend's events.

Nothing in a request is believed before its signature is checked, and nobody is asked anything for a request
that cannot be meant for us. sns.py and resend.py answer one request each, sns_messages.py and
resend_events.py read them (both pure), certificates.py holds what SNS signs with.
"""
