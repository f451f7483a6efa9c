"""What a model file alone tells about a run: no emulator, no device, about a second."""
