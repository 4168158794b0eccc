"""One page about a table: what is in the corpus, and what is wrong with it."""
