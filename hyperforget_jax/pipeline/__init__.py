"""The stages from images to a report, each a function of (config, inputs) that leaves an artifact."""
