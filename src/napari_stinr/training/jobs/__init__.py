"""Several trainings, one after the other: which there are, what is next, what was done already."""
