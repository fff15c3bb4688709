"""The words of the v3 streaming protocol, for both of its sides."""
