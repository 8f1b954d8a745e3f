"""From slices of a field to detector lines and back."""
