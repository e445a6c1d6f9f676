"""Amazon SES, SNS, SQS, Resend and DNS on this machine.

One ASGI app: paths under /v2/email are answered here as SES answers them, those under /resend as Resend does;
/_sim/* is the control API, and everything else (SQS, SNS, STS, EventBridge …) is handed to MiniStack. Reading
starts at app.py.
"""
