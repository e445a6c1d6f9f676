"""Routes: what webhooks.py answers. Each asks the core in a thread of its room and turns the answer into
HTTP; nobody is logged in, and nothing of a request is sent back but text that was made harmless."""
