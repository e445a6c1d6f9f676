"""Hooks: what others send us over HTTPS: SNS notifications, Resend's events."""
