"""The dbt project as assets, its data tests as checks."""
