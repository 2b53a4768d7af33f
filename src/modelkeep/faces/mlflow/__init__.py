"""The MLflow face: the wire of MLflow's client, over our use cases."""
