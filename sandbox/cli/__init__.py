"""The command line: thin Typer commands, one file per noun. Only here are things printed and exit codes chosen."""
