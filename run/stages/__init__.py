"""What makes models: one file per stage."""
