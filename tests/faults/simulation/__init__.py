"""A deterministic world in which the product's own code sends, crashes and is told lies.

world.py time, processes and who runs next, database.py a real database that can be away or be cut off, ses.py
what SES accepts and reports, actors.py schedulers, ingest, jobs and people, watching.py the invariants,
stage.py the tenants and campaigns of every schedule, plan.py what goes wrong in one, play.py one schedule.
"""
