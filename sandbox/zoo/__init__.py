"""Models made from scratch, with seeded random weights: what calibrations are measured and counted with."""
