"""Pictures of the tables: each function takes tables and returns a figure."""
