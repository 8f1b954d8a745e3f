"""From the files a person names to a tilt series: stack, tilt angles, times, pixel size, and where each came from."""
