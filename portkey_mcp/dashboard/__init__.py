"""Server-rendered pages; plain forms, no script."""
