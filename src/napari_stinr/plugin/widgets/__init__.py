"""Tables, forms and plots that know neither session nor viewer."""
