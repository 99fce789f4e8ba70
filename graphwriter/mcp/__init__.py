"""A read-only server of the Model Context Protocol: a language model asks the graph."""
