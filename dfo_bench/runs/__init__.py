"""One run: what it is, its parts, the loop, the meter, the journal, and what it comes to."""
