"""Where every projection of a tilt series really was: finding the pose, and undoing it."""
