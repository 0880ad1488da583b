"""The dashboard's own parts: how states and instants look, the start page, the sidebar."""
