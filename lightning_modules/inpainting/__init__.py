"""Methods of the other task: what is missing in a picture is filled in."""
