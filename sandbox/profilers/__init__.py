"""Profilers' raw files → measurements: pure parsers of text that the guest wrote, and that is therefore not trusted."""
