"""A stand-in for tflite_runtime."""

__version__ = "9.9.9"
