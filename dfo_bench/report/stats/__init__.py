"""Statistics: pure functions of a store's frames."""
