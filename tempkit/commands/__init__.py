"""The commands of tempkit that are more than a few lines; __main__ has the rest."""
