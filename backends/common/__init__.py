"""What every room may use: pytrees, libraries of arrays, the cache folder, locks at a fork."""
