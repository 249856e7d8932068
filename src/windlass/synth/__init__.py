"""From the graph to what is deployed: policies and bundles."""
