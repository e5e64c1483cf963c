"""`python -m sercore` is `sercore`."""

from .cli import app

app()
