"""Images, boxes, colour, and the sets of photos that methods are trained and scored on."""
