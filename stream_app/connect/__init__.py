"""Ways in for what people already have: files, and histories without ticks."""
