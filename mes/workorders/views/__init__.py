"""The REST calls of work orders, a module per noun."""
