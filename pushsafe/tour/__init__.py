"""The tour for newcomers: real runs against a registry that lives no longer than they do."""
