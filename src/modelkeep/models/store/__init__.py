"""SQL of registered models and their versions."""
