"""The operations that the door itself executes, one group a file."""
