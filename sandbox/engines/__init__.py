"""Engines: the only part that starts the device's programs. `base` is the interface, one file per kind."""
