"""What every room may use: trees of arguments, whose array an object is, the cache folder, locks at a fork."""
