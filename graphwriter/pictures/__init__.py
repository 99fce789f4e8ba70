"""Networks for other programs and for people: CSV, GEXF, GraphML, Mermaid, and a page."""
