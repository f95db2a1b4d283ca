"""What the page of a run is made of."""
