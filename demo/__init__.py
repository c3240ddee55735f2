"""The product on one machine with the sandbox tenant at the other end: for looking around, and for `make smoke`."""
