"""What every room may use: trees of arguments, libraries of arrays, the cache folder, locks at a fork."""
