"""What policy looks for in arguments and results: recognisers, hidden characters, sizes. Pure."""
