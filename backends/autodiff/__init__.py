"""From the graph of a function to the graph of its derivative."""
