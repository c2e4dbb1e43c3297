"""Many runs: what a sweep asks for, and the processes that work it off."""
