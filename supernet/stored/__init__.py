"""Models on the disk: loaded, saved, known by their digests."""
