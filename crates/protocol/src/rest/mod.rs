//! REST resources as JSON (rest.md sections 4, 5, 8, 9).
