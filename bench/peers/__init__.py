"""Other ways to do the same work, written as a competent user of each would and honestly tuned."""
