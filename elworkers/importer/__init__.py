"""Camus's job: topics come in, files in folders by the hour go out, each message in exactly one of them."""
