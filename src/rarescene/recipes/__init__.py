"""Floor 5: the demo, the shipped weights and configurations, and the papers' tables."""
