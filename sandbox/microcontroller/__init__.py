"""Microcontrollers: boards without an operating system, which TensorFlow Lite Micro runs models on."""
