"""Result → text. No I/O in here: the caller picks the file."""
