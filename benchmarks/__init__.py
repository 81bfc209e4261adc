"""Side-by-side measurements: time and memory against peers, accuracy on real screens."""
