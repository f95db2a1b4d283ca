"""What serves a model elsewhere: files for other runtimes, checkpoints for other programs."""
