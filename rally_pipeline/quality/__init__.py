"""What data must be like before it is believed."""
