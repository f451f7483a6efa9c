"""edge-sandbox: will this model run on that device, how fast, in how much memory, with which operators."""
