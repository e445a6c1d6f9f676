"""The console's pages, by section. Each begins with `app, actor = begin(...)`; Home.py lists them all."""
