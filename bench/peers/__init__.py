"""Other implementations of the same work, as a competent user of each library would write and tune them."""
