"""Fields and serializers that refuse what they do not know, and say what would be right."""
