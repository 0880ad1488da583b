"""The clock: fires what is due by schedules, accounts for what does not fire, and enqueues again what is pending."""
