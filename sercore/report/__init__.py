"""Records in; `tables`, `findings` (sentences) and `figures` out, `titles` that state them, `attention` over time, and `display`,
which puts them on a page with their provenance. Nothing is trained here."""
