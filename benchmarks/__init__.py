"""Speed, measured as ratios in one run against named peers doing the same work: `make bench`."""
