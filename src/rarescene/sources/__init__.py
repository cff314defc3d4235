"""Where pairs come from: sources of masks and of pairs, requests, provenance, and what would be a leak."""
