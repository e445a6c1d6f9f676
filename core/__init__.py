"""Everything of Postyard that is not Streamlit. Start reading at app.py."""

__version__ = "0.1.0"
