"""How work orders look over REST, a module per noun."""
