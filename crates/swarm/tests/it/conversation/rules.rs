//! Rules that no archived conversation shows.
