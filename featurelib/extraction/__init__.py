"""From a file or a signal to rows."""
