"""Work orders in the admin, a module per noun."""

from mes.workorders.admin import changes, deviations, nonconformances, order_units, orders, runs

__all__ = ["changes", "deviations", "nonconformances", "order_units", "orders", "runs"]
