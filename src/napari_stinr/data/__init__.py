"""The measured data and what is known of them before anything is fitted: series, checks, preparation, geometry."""
