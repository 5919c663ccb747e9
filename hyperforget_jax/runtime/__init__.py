"""What every stage needs of the machine: artifacts, checkpoints, devices, random streams, progress."""
