"""What more than one test uses: servers, a model of the graph, made-up posts, waiting."""
