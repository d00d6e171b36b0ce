"""Pictures of what the engine and the models do, as text that any browser shows."""
