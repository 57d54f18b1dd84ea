"""The control room on this machine: the same widget as on the dashboard, in a frame that does what CloudWatch does."""
