"""Pictures of the control room, taken by a real browser that presses its buttons."""
