"""What every part of the launcher may use: time as an argument, notices to the user, sizes and durations as text."""
