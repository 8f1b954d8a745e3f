"""The docks of the workflow and the pages in them."""
