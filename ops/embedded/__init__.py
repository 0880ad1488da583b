"""PostgreSQL and Valkey from wheels: where they live, whom they run as, how they start. Knows no Django."""
