"""The references, one file each: found by their names, and imported when they are first used."""
