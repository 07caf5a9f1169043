"""Agreement across settings: sentences, table and heat map."""
