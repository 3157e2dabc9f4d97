"""What the demonstration does with a client, written by hand."""
