"""For people who instrument a page: events come in, and each is shown with what is wrong with it."""
