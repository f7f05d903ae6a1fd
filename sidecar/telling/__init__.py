"""What others are told of a running service: health, metrics, and the story in the log."""
