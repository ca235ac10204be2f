"""Markets: rule sets, sessions, order books, contracts and the allotments they live on. Key: the market."""
