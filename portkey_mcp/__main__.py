"""`python -m portkey_mcp` is `portkey-mcp`."""

from portkey_mcp.cli import main

main()
