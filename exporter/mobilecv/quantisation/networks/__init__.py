"""Float networks that can be looked into, changed and quantised; one module per format."""
