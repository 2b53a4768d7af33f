"""The SQL of searches: what is searched, and the statements that find a page's rows."""
