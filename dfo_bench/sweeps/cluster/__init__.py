"""The runs of a sweep on the nodes of a Ray cluster, which share no disk with the store."""
