"""What several test modules share: inputs, oracles, a window. No tests in here."""
