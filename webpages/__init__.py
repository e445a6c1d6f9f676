"""Web pages: the HTML that webhooks.py serves to people without a log-in. Pure; nothing here asks anybody."""
