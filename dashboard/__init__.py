"""What people look at and press: a package for each kind of page, the forms, and what all pages share."""
