"""Studies with people: the page that asks them, and what their answers say of the methods."""
