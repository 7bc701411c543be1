"""The rooms of Everfit, one concern each. No room knows Prefect; ARCHITECTURE in README.md says who may import whom."""
