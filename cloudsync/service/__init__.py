"""What keeps runs going for years: when they are due, how they stop, what they show of themselves. It knows no policy and no platform."""
