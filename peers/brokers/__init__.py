"""Other projects' brokers, from published packages, on loopback."""
